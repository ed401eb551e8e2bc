"""Pure functions from records to tables and figures."""
