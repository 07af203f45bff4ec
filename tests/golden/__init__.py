"""Bytes that once went over the wire, kept for ever and read by today's code."""
