"""The load on the bank: requests, sending times, and the load generator.

Nothing here measures the bank or reads its stores.
"""
