"""Bundled methods, encodings, scorers, variations and objectives, on the public API alone."""
