"""The bank's databases in memory: one module for each schema.

A store is a set of dictionaries with the rules that PostgreSQL enforces. It never waits, draws no
random numbers, and knows neither processes nor faults: those belong to the ports.
"""
