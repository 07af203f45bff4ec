"""Exactly-once fan-out of the domains' events to notifications and to the audit log."""
