"""Baselines of the benchmark: models that papers compare with."""
