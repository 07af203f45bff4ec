"""The partners and the whole bank on one machine; nothing under services imports it."""
