"""Pure rules, tested without a socket."""
