"""The connections from the bank's processes to everything outside them, with all their faults.

A port replaces a client library or a network: asyncpg, aiohttp, Kafka's producer, a call through
the gateway. Every action through a port first waits at the gate of its process, so a dead process
changes nothing outside.
"""
