"""bpctl's commands for the bank on one machine: its processes, the partners, many customers."""
