"""Fixtures: the whole running bank, judged after each test, and the app of a new customer."""

from tests.rigs.judged_bank import bank, unjudged
from tests.rigs.logins import ana, app, logged_in

__all__ = ["ana", "app", "bank", "logged_in", "unjudged"]
