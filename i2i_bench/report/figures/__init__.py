"""Losses, samples, mosaics and curves as figures."""
