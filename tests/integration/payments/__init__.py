"""The payments service against a real PostgreSQL."""
