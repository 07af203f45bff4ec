"""The whole running bank, as the end-to-end tests have it: judged after each test."""

from tests.e2e.conftest import bank, unjudged

__all__ = ["bank", "unjudged"]
