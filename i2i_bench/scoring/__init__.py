"""From a test set to values, under named protocols."""
