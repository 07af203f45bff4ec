"""The bank's databases in memory: one module for each schema.

A store is a set of dictionaries with the rules that PostgreSQL enforces. It never waits and draws
no random numbers. Processes and faults belong to the ports.
"""
