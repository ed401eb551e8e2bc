"""Synthetic tasks with exact truth, made by the package."""
