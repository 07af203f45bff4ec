"""How the bank behaves when a store fails, as docs/failure-modes.md describes it."""
