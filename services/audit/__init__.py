"""The immutable audit log: append-only, with every complete event in a chain of hashes."""
