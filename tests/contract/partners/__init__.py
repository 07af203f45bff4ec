"""The sandbox's partners: each runs as a real process and is called over its protocol."""
