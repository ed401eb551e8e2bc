"""What a user types: a module a family of commands; the only place that prints."""
