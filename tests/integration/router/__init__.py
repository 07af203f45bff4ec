"""The router on a real broker."""
