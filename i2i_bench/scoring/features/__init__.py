"""Inception and LPIPS features, and the cache of the former."""
