"""The running bank, judged after each module: hostile input must not make its books wrong."""

from tests.rigs.judged_bank import bank, unjudged

__all__ = ["bank", "unjudged"]
