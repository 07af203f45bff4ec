"""What is measured: one module for each part of a bench, with the processes and data it needs.

A part takes a `Bench`, runs load, and adds its figures to the findings. It does not print or judge.
"""
