"""DIAT, the version with masks, an auxiliary network and a denoiser."""
