"""The benchmark suite for image-to-image translation."""
