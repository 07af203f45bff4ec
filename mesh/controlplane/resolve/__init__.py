"""From Istio's kinds and the contracts to the model: every name gets its address."""
