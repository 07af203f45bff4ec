"""`make bench`: what the running bank does a second, how fast, and what a transfer costs."""
