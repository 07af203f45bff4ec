"""The sandbox bank's customers with their fixed ids and opening balances. Pure.

Every id is derived from the user name, so that tests, demos and documents can name it. An id is a
UUIDv7 of the day the bank opened, with a digest as its other bits. All ids of a customer have the
shard of the customer's own id.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sandbox.partners.sms.endings import ENDINGS, UNDELIVERED_ENDING
from services.kernel.ids import SHARDS, shard_of

UNREACHABLE = "unreachable-"
"""How the user name of a customer begins whose telephone gets no text message."""

OPENING_TIME = datetime(2026, 1, 2, 9, 0, tzinfo=UTC)
LOAD_CENTS = 1_000_000_00
KINDS = ("CHECKING", "SAVINGS")
SHARED_PASSWORDS = ("load", "guest")
"""Kinds of customers who share a password: the first part of their user names."""


@dataclass(frozen=True)
class Deposit:
    """One account of a person; `cents` is its opening balance."""

    kind: str
    cents: int
    state: str = "ACTIVE"


@dataclass(frozen=True)
class Person:
    """One customer."""

    user_name: str
    display_name: str
    deposits: tuple[Deposit, ...]
    locale: str = "es"

    @property
    def email(self) -> str:
        """An address in the reserved domain `example`, where no mailbox exists."""
        return f"{self.user_name}@customers.example"


def _checking(cents: int, state: str = "ACTIVE") -> Deposit:
    return Deposit("CHECKING", cents, state)


def _savings(cents: int) -> Deposit:
    return Deposit("SAVINGS", cents)


NAMED = (
    Person("ana", "Ana Morales", (_checking(5_000_00), _savings(12_000_00))),
    Person("luis", "Luis Ortega", (_checking(3_000_00), _savings(1_500_00))),
    Person("maria", "María Fernández", (_checking(8_250_50),)),
    Person("carlos", "Carlos Rivera", (_checking(1_000_00),)),
    Person("sofia", "Sofía Castro", (_checking(20_000_00), _savings(50_000_00))),
    Person("diego", "Diego Paredes", (_checking(640_75),)),
    Person("elena", "Elena Vargas", (_checking(2_500_00), _savings(0))),
    Person("jorge", "Jorge Salinas", (_checking(100_00),)),
    Person("lucia", "Lucía Herrera", (_checking(75_000_00),)),
    Person("pablo", "Pablo Núñez", (_checking(0),)),
    Person("grace", "Grace Turner", (_checking(4_000_00), _savings(9_000_00)), "en"),
    Person("henry", "Henry Walsh", (_checking(2_000_00),), "en"),
    Person("fausto", "Fausto Medina", (_checking(3_000_00, "FROZEN"), _savings(700_00))),
)
"""The customers of tests and demos. fausto's checking account is frozen."""


def load_person(number: int) -> Person:
    """Return one customer for benchmarks by number, from 1: load-000001 and so on."""
    name = f"load-{number:06d}"
    return Person(name, f"Load {number:06d}", (_checking(LOAD_CENTS),))


def load_people(count: int) -> Iterator[Person]:
    """Return the first `count` customers for benchmarks."""
    return map(load_person, range(1, count + 1))


def customer_id(user_name: str) -> uuid.UUID:
    """Return the id of the customer with a user name; its shard comes from the digest."""
    return _id(f"customer/{user_name}", _place(user_name))


def account_id(user_name: str, kind: str = "CHECKING") -> uuid.UUID:
    """Return the id of a customer's account; checking comes before savings."""
    shard = shard_of(customer_id(user_name))
    return _id(f"account/{user_name}/{kind}", _place(user_name) + 1 + KINDS.index(kind), shard)


def device_token(user_name: str) -> str:
    """Return the push token of the customer's only phone."""
    return f"device-{user_name}"


def phone(user_name: str) -> str:
    """Return the customer's telephone number, in the range for fiction of country code 1.

    The SMS gateway delivers to it, except for customers named "unreachable-…".
    """
    digest = hashlib.sha256(f"phone/{user_name}".encode()).digest()
    number = int.from_bytes(digest[:8], "big") % 10_000_000
    if user_name.startswith(UNREACHABLE):
        return f"+1555{number // 10_000:03d}{UNDELIVERED_ENDING}"
    while f"{number:07d}"[-4:] in ENDINGS:
        number += 1
    return f"+1555{number:07d}"


def password(user_name: str) -> str:
    """Return the customer's first password: "ana-Passw0rd-2026" for ana. All customers for
    benchmarks have "load-Passw0rd-2026", and all guests of tests "guest-Passw0rd-2026"."""
    kind, dash, _ = user_name.partition("-")
    shared = dash and kind in SHARED_PASSWORDS
    return f"{kind if shared else user_name}-Passw0rd-2026"


def _place(user_name: str) -> int:
    """Return the milliseconds between the bank's opening and the customer's joining.

    Customers for benchmarks join one after the other, so that a million of them extend the
    databases' indexes at the end, as real customers would.
    """
    number = user_name.removeprefix("load-")
    return 4 * int(number) if number != user_name else 0


def _id(text: str, later_ms: int, shard: int | None = None) -> uuid.UUID:
    milliseconds = (OPENING_TIME - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    digest = hashlib.sha256(text.encode()).digest()
    raw = bytearray((milliseconds + later_ms).to_bytes(6, "big") + digest[:10])
    raw[6] = 0x70 | (raw[6] & 0x0F)
    raw[8] = 0x80 | (raw[8] & 0x3F)
    if shard is not None:
        raw[15] = (raw[15] & ~(SHARDS - 1) & 0xFF) | shard
    return uuid.UUID(bytes=bytes(raw))
