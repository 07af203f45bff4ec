"""Faults on the real stack: what breaks, and that nothing is lost and nothing doubled."""
