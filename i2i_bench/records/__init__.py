"""Identity and schema of what is written, and where a run lies on disk."""
