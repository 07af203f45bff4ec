"""The whole running bank, used as its customers use it."""
