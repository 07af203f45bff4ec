"""A service's session with OpenBao, on the real one."""
