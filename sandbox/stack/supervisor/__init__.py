"""Starts, monitors and stops a table of processes and jobs. It knows nothing of the bank."""
