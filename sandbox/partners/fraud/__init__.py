"""The fraud scoring API: deterministic rules, protected by a bearer token."""
