"""Installed models: found, checked against the contract, described, begun from a skeleton."""
