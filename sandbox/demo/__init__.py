"""Shows the life of a transfer on the running bank; it reads every value that it shows."""
