"""The rigs that tests share."""
