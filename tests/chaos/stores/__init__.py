"""What the stores do to the bank when they fail, as docs/failure-modes.md tells it."""
