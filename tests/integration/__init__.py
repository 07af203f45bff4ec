"""One service at a time against the real stores it stands on."""
