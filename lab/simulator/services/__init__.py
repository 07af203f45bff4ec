"""The bank's services, one module for each, wired as their bootstraps wire them.

A module builds production's objects on the ports and stores that it gets as arguments. Decisions of
a service belong to production; nothing here repeats them.
"""
