"""The whole bank on one machine: one supervisor starts, monitors and stops its real parts."""
