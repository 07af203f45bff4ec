"""The partners of the sandbox, each started as a real process and called over its protocol."""
