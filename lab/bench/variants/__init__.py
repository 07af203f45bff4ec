"""The measured setups: one module for each part of a bench, with its processes and data.

A part takes a `Bench`, runs load, and adds its figures to the findings. It does not print or judge.
"""
