"""The gateway's proxy as Envoy resources; `gateway` puts the parts together."""
