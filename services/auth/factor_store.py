"""Authenticator apps, recovery codes, faces and receipts of text messages in PostgreSQL.

Each change and its events are one transaction, which begins with a lock of the customer's row.
"""

import uuid
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import asyncpg

from services.auth.errors import TotpAlreadyEnrolled, TotpNotEnrolled
from services.auth.events_out import Prepared
from services.chassis.postgres import load_queries

_QUERIES = Path(__file__).parent / "sql" / "queries.sql"


@dataclass(frozen=True, slots=True)
class Totp:
    """A customer's authenticator app."""

    secret_sealed: str
    confirmed: bool
    """False while the customer has not typed a code of it."""
    last_step: int
    """Time step of the last right code; 0 before the first one."""


@dataclass(frozen=True, slots=True)
class TotpConfirmation:
    """The first right code of an authenticator app."""

    customer_id: uuid.UUID
    secret_sealed: str
    """The secret that the code was compared with."""
    step: int
    time: datetime
    code_hashes: Sequence[bytes]
    """Keyed digests of the new recovery codes, 32 bytes each."""
    events: Sequence[Prepared]


class FactorStore:
    """The tables of schema auth for factors, accessed as role bp_auth."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._queries = load_queries(_QUERIES)

    async def append(self, events: Sequence[Prepared]) -> None:
        """Write events of one customer that belong to no change, under the customer's lock."""
        await self._pool.execute(self._queries.append, *columns_of(events))

    async def totp(self, customer_id: uuid.UUID) -> Totp | None:
        """Return the customer's authenticator app, confirmed or not."""
        row = await self._pool.fetchrow(self._queries.totp, customer_id)
        return Totp(**row) if row else None

    async def start_totp(self, customer_id: uuid.UUID, secret_sealed: str, now: datetime) -> None:
        """Keep the secret of a new authenticator app, in place of one that was not confirmed.

        Raises TotpAlreadyEnrolled.
        """
        sql = self._queries.start_totp
        if await self._pool.fetchval(sql, customer_id, secret_sealed, now) is None:
            raise TotpAlreadyEnrolled()

    async def confirm_totp(self, confirmed: TotpConfirmation) -> None:
        """Confirm an authenticator app and replace the recovery codes.

        Raises TotpAlreadyEnrolled if it is confirmed already, as by a call that was sent twice at
        once, and TotpNotEnrolled if it was removed or begun again meanwhile.
        """
        customer_id = confirmed.customer_id
        async with self._changing(customer_id, confirmed.events) as connection:
            row = await connection.fetchval(
                self._queries.confirm_totp,
                customer_id,
                confirmed.secret_sealed,
                confirmed.time,
                confirmed.step,
            )
            if row is None:
                app = await connection.fetchrow(self._queries.totp, customer_id)
                raise TotpAlreadyEnrolled() if app and app["confirmed"] else TotpNotEnrolled()
            await connection.execute(self._queries.delete_recovery_codes, customer_id)
            codes = list(confirmed.code_hashes)
            await connection.execute(self._queries.add_recovery_codes, customer_id, codes)

    async def use_totp_step(self, customer_id: uuid.UUID, step: int) -> int | None:
        """Use the code of a time step; return the last step before.

        Returns None if a code of this or a later step was used.
        """
        return await self._pool.fetchval(self._queries.use_totp_step, customer_id, step)

    async def give_back_totp_step(self, customer_id: uuid.UUID, step: int, before: int) -> None:
        """Undo `use_totp_step`, unless a later code was used; `before` is what that returned."""
        await self._pool.execute(self._queries.give_back_totp_step, customer_id, step, before)

    async def remove_totp(self, customer_id: uuid.UUID, events: Sequence[Prepared]) -> None:
        """Remove the authenticator app with its recovery codes. Raises TotpNotEnrolled."""
        async with self._changing(customer_id, events) as connection:
            if await connection.fetchval(self._queries.remove_totp, customer_id) is None:
                raise TotpNotEnrolled()
            await connection.execute(self._queries.delete_recovery_codes, customer_id)

    async def use_recovery_code(
        self, customer_id: uuid.UUID, code_hash: bytes, now: datetime
    ) -> bool:
        """Use a recovery code; False if the customer has no such code or used it."""
        sql = self._queries.use_recovery_code
        return await self._pool.fetchval(sql, customer_id, code_hash, now) is not None

    async def give_back_recovery_code(
        self, customer_id: uuid.UUID, code_hash: bytes, used: datetime
    ) -> None:
        """Undo the `use_recovery_code` of this time."""
        await self._pool.execute(
            self._queries.give_back_recovery_code, customer_id, code_hash, used
        )

    async def face(self, customer_id: uuid.UUID) -> str | None:
        """Return the encrypted picture of the customer's face; None without one."""
        return await self._pool.fetchval(self._queries.face, customer_id)

    async def record_receipt(
        self, message_id: str, state: str, error_code: str, time: datetime
    ) -> None:
        """Keep the latest receipt of a text message; receipts may come again and in any order."""
        sql = self._queries.record_receipt
        await self._pool.execute(sql, message_id, state, error_code, time)

    @asynccontextmanager
    async def _changing(
        self, customer_id: uuid.UUID, events: Sequence[Prepared] = ()
    ) -> AsyncGenerator[Any]:
        """Run a transaction with the customer's row locked, and append events at its end."""
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(self._queries.lock_user, customer_id)
            yield connection
            if events:
                await connection.execute(self._queries.append, *columns_of(events))


def columns_of(events: Sequence[Prepared]) -> tuple[list[Any], ...]:
    """Return events as the columns of the statements that append them."""
    return (
        [event.event_id for event in events],
        [event.key for event in events],
        [event.event_type for event in events],
        [event.subject for event in events],
        [event.payload for event in events],
        [event.traceparent for event in events],
    )
