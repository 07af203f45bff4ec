"""What the bank has on record: its schemas in memory, one module for each.

A store is dictionaries and the rules that PostgreSQL keeps over them. It never waits, draws nothing
at random and knows neither processes nor faults: those belong to the ports.
"""
