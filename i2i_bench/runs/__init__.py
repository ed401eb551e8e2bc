"""From names and settings to a recorded run."""
