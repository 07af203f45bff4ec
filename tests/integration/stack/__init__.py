"""The bank on one machine: supervisor, provisioning, restarts, `bpctl`."""
