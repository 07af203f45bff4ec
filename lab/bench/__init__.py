"""`make bench`: how many transfers the bank makes a second, their latency, and their cost.

This package contains the entry point, the test bench, and a single run of load. In its subpackages,
`load` sends requests, `meters` measures, `variants` defines the measured setups, and `report` shows
and judges the figures. No other package may import it.
"""
