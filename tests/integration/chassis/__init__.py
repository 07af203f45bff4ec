"""The chassis over real sockets."""
