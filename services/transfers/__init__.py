"""Transfers between two accounts of the bank."""
