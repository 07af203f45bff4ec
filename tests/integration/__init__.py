"""One service at a time with the real stores that it uses."""
