"""Tests of the repository itself: its structure, its limits, and the agreement of its parts."""
