"""The decisions of transfers."""
