"""The ways between the bank's processes and everything outside them, with all their faults.

A port replaces a client library or a network: asyncpg, aiohttp, Kafka's producer, a call through
the gateway. What a process does through a port passes the gate of that process, so a dead process
changes nothing outside.
"""
