"""What leaves a study: members of fronts as files that other programs load, each read back and compared."""
