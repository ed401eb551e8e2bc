"""Metrics: a module a family, each with its key, unit, bounds and function."""
