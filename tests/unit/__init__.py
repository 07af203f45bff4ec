"""Pure rules, tested without sockets."""
