"""BicycleGAN: its configuration and the model."""
