"""A problem that a user declares in a TOML file, without writing a plugin."""
