"""Tests of what stands between two parties: wire formats, partners, schemas."""
