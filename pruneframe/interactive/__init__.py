"""For people at a prompt: problems, studies and comparisons as objects of Python, which notebooks show."""
