"""Faults by chance on a running bank: a seeded schedule under load, and the judge at the end."""
