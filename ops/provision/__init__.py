"""Prepares the running stores for the bank; every step may be repeated."""
