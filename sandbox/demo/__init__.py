"""Shows the life of a transfer on the running bank; everything shown was just read from it."""
