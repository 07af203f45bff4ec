"""The sidecars: identities, routes and partners."""
