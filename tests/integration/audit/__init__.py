"""The audit service: its log and the events that it records."""
