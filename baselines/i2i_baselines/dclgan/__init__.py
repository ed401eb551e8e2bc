"""DCLGAN and SimDCL."""
