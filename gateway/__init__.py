"""The edge: what the mobile app reaches, derived from the contracts."""
