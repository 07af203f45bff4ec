"""The mesh's traffic policy, and the control plane that turns it into Envoy resources."""
