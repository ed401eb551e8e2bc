"""The tables of the AttentionGAN paper beside our values."""
