"""Measurements: CPU, memory, bytes, SQL statements, sidecar requests, and completeness of a run.

A meter reads the bank and changes nothing in it. It does not know which variant is measured.
"""
