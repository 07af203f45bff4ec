"""The discovery server with real Envoys."""
