"""What fuzz.py feeds to what reads files, and what watches over it."""
