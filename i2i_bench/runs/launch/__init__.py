"""Several runs at once, on this machine or on those of a cluster."""
