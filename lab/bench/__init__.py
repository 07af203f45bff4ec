"""`make bench`: how many transfers the bank makes a second, their latency, and their cost.

This folder holds what drives a bench: the entry, the test bench, and one run of load. The rooms
hold the rest: `load` sends requests, `meters` measure, `variants` are what is measured, `report`
shows and judges the figures. Nothing here may be imported by another package.
"""
