"""The pure parts of the router."""
