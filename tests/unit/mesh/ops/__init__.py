"""Tests of `bpctl mesh` without a bank."""
