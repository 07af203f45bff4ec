"""Starts, watches and stops a table of processes and jobs. It knows nothing of a bank."""
