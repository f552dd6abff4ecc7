"""A method and a scorer for pruneframe."""
