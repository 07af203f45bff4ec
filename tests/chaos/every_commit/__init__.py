"""Injects every fault before and after every commit of the transfer saga."""
