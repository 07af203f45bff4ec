"""One module per part: its command, its configuration, and its readiness probe."""
