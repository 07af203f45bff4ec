"""`make bench`: how many transfers the bank makes a second, their latency, and their cost.

This package has the entry, the test bench, and one run of load. Its subpackages have the rest:
`load` sends requests, `meters` measures, `variants` has the measured setups, and `report` shows and
judges the figures. No other package may import it.
"""
