"""Nacha rules and the banking calendar, pure."""
