"""The gateway's rules, derived from the contracts. The mobile app and partners call the gateway."""
