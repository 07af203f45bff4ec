"""The gateway over HTTP, in front of services that answer from the request."""
