"""One module a part: its command, its configuration, and its readiness probe."""
