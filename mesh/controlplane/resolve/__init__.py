"""Builds the model from Istio's kinds and the contracts: every name gets its address."""
