"""Layouts, kernels and graphs: what changes the last digits of a step only."""
