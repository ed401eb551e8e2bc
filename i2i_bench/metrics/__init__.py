"""Pure functions from arrays to a value and its spread."""
