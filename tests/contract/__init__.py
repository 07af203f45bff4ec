"""Tests of the agreements between two parties: wire formats, partners, schemas."""
