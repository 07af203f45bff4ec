"""Real Envoys, certificates and upstreams for the contract tests of the gateway and the mesh."""
