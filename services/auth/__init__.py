"""Logs customers in with three factors, and keeps them logged in."""
