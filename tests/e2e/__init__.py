"""The whole running bank, as its customers use it."""
