"""Faults on the real stack: nothing is lost and nothing is doubled."""
