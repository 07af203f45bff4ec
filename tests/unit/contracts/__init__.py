"""Tests of the code that reads the policy options."""
