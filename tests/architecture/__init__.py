"""Tests of the repository itself: its shape, its limits, and that its parts agree."""
