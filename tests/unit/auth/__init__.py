"""The pure parts of auth."""
