"""Hostile input for the running bank."""
