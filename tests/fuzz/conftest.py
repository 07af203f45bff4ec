"""The bank, judged after each test: whatever was thrown at it, its books agree."""

from tests.e2e.conftest import bank

__all__ = ["bank"]
