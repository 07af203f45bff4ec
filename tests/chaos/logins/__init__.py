"""Logins while a store, a partner or auth itself fails."""
