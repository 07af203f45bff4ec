"""The bench of the mesh: hop cost, edits, many proxies, and calls during changes."""
