"""What `pruneframe plugins new` writes: a whole project around one plugin."""
