"""Bytes that were once sent, kept forever; the current code must still read them."""
