"""The immutable log: every event whole, chained by hashes, append-only."""
