"""The gateway over HTTP, in front of test services that build their answer from the request."""
