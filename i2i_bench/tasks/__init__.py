"""What there is to run."""
