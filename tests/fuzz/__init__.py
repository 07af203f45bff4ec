"""The running bank under hostile input."""
