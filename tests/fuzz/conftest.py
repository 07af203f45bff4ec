"""The whole running bank, judged after each module: hostile input leaves its books right."""

from tests.rigs.judged_bank import bank, unjudged

__all__ = ["bank", "unjudged"]
