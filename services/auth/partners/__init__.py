"""Clients of the outside systems that auth asks."""
