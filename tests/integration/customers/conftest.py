"""Fixtures of these tests."""

from tests.rigs.money_services import (
    bank,
    customers,
    customers_channel,
    customers_stub,
    transfers,
    transfers_channel,
    transfers_stub,
)

__all__ = [
    "bank",
    "customers",
    "customers_channel",
    "customers_stub",
    "transfers",
    "transfers_channel",
    "transfers_stub",
]
