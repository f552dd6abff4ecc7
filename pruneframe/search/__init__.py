"""What a method meets while it searches: the one door, what is behind it, and what it writes down."""
