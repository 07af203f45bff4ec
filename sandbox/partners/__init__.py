"""The outside world on one machine: clearing house, fraud scoring, push, identity provider.

Each partner is a server of its own over its real protocol. Nothing here imports bank code, and
the bank imports nothing from here: they meet on the wire.
"""
