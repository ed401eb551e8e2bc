"""Where the tasks of the benchmark are defined."""
