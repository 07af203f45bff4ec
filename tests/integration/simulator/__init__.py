"""The simulated database against the real one."""
