"""The gateway's proxy in Envoy's words; `gateway` puts the parts together."""
