"""The running bank, judged after each module: hostile input must not corrupt its books."""

from tests.rigs.judged_bank import bank, unjudged

__all__ = ["bank", "unjudged"]
