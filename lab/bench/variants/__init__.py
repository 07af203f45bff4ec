"""The measured setups, one module for each part of a bench, and the processes and data that they
use.

A part takes a `Bench`, runs load, and adds its figures to the findings. It does not print or judge.
"""
