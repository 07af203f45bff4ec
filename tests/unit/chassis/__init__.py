"""Tests of the chassis without stores: batching, settings, status, telemetry."""
