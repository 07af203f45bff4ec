"""The running bank, judged after each test."""

from tests.rigs.judged_bank import bank, unjudged

__all__ = ["bank", "unjudged"]
