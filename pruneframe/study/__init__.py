"""Many runs: planned, carried out, stored, and read back."""
