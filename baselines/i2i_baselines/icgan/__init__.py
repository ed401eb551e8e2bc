"""IcGAN: a conditional GAN, and encoders that invert it."""
