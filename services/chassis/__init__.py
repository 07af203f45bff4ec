"""The runtime that every service stands on; no business rule lives here."""
