"""Starts, monitors and stops a table of processes and jobs. It is independent of the bank."""
