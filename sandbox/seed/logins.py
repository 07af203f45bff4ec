"""Gives customers of the sandbox a login: password, telephone and face, as onboarding does.

Only customers without a login get one, so it can be repeated safely. Customers for benchmarks and
guests of tests share one password and its hash per kind, because bcrypt takes a quarter of a second
for each. That is for the sandbox only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from functools import cache

import asyncpg
import bcrypt

from sandbox.seed import faces, people
from sandbox.seed.people import Person
from services.auth import emails, passwords
from services.auth.sealing import Field, Plain, Sealer
from services.chassis.vault import Vault

COST = 12
"""The cost of hashes in a bank without a setting of its own."""
BATCH_PEOPLE = 1_000

_WITHOUT = """
SELECT w.customer_id FROM unnest($1::uuid[]) w (customer_id)
WHERE NOT EXISTS (SELECT FROM auth.users u WHERE u.customer_id = w.customer_id)
"""
_USERS = """
INSERT INTO auth.users (customer_id, email_index, email_sealed, phone_index, phone_sealed, locale,
    password_hash, create_time, password_change_time)
SELECT u.*, $8, $8 FROM unnest(
    $1::uuid[], $2::bytea[], $3::text[], $4::bytea[], $5::text[], $6::text[], $7::bytea[]) u
ON CONFLICT DO NOTHING
"""
_FACES = """
INSERT INTO auth.face (customer_id, picture_sealed)
SELECT f.* FROM unnest($1::uuid[], $2::text[]) f
ON CONFLICT DO NOTHING
"""


async def plant(
    connection: asyncpg.Connection,
    vault: Vault,
    wanted: Iterable[Person],
    *,
    with_faces: bool,
    cost: int = COST,
) -> int:
    """Write the logins that are missing; return how many. `connection` is a superuser's, and
    `vault` a session of auth. `cost` is that of the password's hash."""
    keys = await vault.secret("service/auth")
    sealer, password_key = Sealer(vault, keys), bytes.fromhex(keys["password_key"])
    by_id = {people.customer_id(person.user_name): person for person in wanted}
    missing = [by_id[row[0]] for row in await connection.fetch(_WITHOUT, list(by_id))]
    for start in range(0, len(missing), BATCH_PEOPLE):
        batch = missing[start : start + BATCH_PEOPLE]
        hashes = await _hashes(password_key, batch, cost)
        await _write_users(connection, sealer, batch, hashes)
        if with_faces:
            await _write_faces(connection, sealer, batch)
    return len(missing)


async def _hashes(key: bytes, batch: Sequence[Person], cost: int) -> list[bytes]:
    """Return the bcrypt hashes of the people's passwords; equal passwords share one hash."""
    known = list(dict.fromkeys(people.password(person.user_name) for person in batch))
    found = await asyncio.gather(*(asyncio.to_thread(_hash, key, word, cost) for word in known))
    by_password = dict(zip(known, found, strict=True))
    return [by_password[people.password(person.user_name)] for person in batch]


@cache
def _hash(key: bytes, password: str, cost: int) -> bytes:
    return bcrypt.hashpw(passwords.prehash(key, password), bcrypt.gensalt(cost))


async def _write_users(
    connection: asyncpg.Connection,
    sealer: Sealer,
    batch: Sequence[Person],
    hashes: Sequence[bytes],
) -> None:
    addresses = [emails.canonical(person.email) for person in batch]
    phones = [people.phone(person.user_name) for person in batch]
    ids = [people.customer_id(person.user_name) for person in batch]
    sealed = await sealer.seal_all(
        [Plain(one, Field.EMAIL, text.encode()) for one, text in zip(ids, addresses, strict=True)]
        + [Plain(one, Field.PHONE, text.encode()) for one, text in zip(ids, phones, strict=True)]
    )
    await connection.execute(
        _USERS,
        ids,
        [sealer.email_index(text) for text in addresses],
        sealed[: len(ids)],
        [sealer.phone_index(text) for text in phones],
        sealed[len(ids) :],
        [person.locale for person in batch],
        list(hashes),
        people.OPENING_TIME,
    )


async def _write_faces(
    connection: asyncpg.Connection, sealer: Sealer, batch: Sequence[Person]
) -> None:
    ids = [people.customer_id(person.user_name) for person in batch]
    pictures = [faces.picture(person.user_name) for person in batch]
    plain = [Plain(one, Field.FACE, body) for one, body in zip(ids, pictures, strict=True)]
    await connection.execute(_FACES, ids, await sealer.seal_all(plain))
