"""The runtime of every service. It contains no business rule."""
