"""A target for pruneframe."""
