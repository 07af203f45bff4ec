"""Tests of the repository itself: its structure, its limits, and that its parts agree."""
