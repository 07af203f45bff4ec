"""What is sent to the bank: the requests, the moments to send them at, and the load generator.

Nothing here measures the bank or reads its stores.
"""
