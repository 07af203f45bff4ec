"""Clients of the outside systems that payments asks: the clearing house and the fraud service."""
