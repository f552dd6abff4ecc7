"""Bundled problems: a trained network, its data and what to minimise."""
