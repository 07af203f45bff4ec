"""The books against a real PostgreSQL."""
