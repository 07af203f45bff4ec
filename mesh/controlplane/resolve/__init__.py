"""From Istio's words and the contracts to the model: every name gets its place."""
