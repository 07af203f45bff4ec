"""Tests of the comparison with Istio; they need no Istio."""
