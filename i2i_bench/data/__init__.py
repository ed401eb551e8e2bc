"""Images of a task as tensors, and the batches made of them."""
