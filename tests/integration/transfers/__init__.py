"""The transfers service."""
