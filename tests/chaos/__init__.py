"""Faults on the real stack: nothing is lost or doubled."""
