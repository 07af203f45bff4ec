"""The bank's services, one module for each, wired as their bootstraps wire them.

A module builds production's objects on the ports and stores that it gets as arguments. All
decisions are made by production code. None is repeated here.
"""
