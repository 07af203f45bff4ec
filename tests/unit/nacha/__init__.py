"""The pure parts of Nacha."""
