"""The command line: one file per command, each of which parses and hands over."""
