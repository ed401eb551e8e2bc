"""The training loop and all that a training keeps on disk."""
