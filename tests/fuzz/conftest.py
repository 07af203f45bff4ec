"""The bank, judged after each module: whatever was thrown at it, its books agree."""

from tests.e2e.conftest import bank, unjudged

__all__ = ["bank", "unjudged"]
