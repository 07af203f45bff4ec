"""The fraud scoring API: deterministic rules behind a bearer token."""
