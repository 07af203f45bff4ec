"""The pure parts of audit."""
