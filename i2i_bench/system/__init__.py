"""Files, downloads, threads, processes, memory and messages: no image, no model."""
