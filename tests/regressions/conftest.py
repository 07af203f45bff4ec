"""The fixtures of the end-to-end tests: a bug is shown where its users would meet it."""

from tests.e2e.conftest import bank, unjudged

__all__ = ["bank", "unjudged"]
