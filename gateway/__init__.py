"""The gateway: what the mobile app reaches, derived from the contracts."""
