"""Faster training steps: memory formats, kernels, CUDA graphs; only last digits change."""
