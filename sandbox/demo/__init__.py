"""The story of a transfer, told by the running bank: what is shown was just read from it."""
