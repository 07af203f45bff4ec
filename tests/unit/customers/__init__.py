"""The pure parts of customers."""
