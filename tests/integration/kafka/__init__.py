"""The chassis' consumer on a real broker."""
