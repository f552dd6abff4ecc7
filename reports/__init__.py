"""Bundled figures and tables, and the template of the comparison PDF."""
