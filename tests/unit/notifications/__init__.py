"""The pure parts of notifications."""
