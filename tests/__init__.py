"""Tests of the bank, from pure rules to the whole running stack."""
