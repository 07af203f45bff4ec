"""The load on the bank: the requests, the times to send them at, and the load generator.

Nothing here measures the bank or reads its stores.
"""
