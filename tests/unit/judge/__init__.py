"""The judge's list of findings."""
