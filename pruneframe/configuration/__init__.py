"""Settings of methods, found by trials: equal effort for every method, on instances that no comparison uses."""
