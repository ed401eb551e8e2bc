"""What several models share; for models only."""
