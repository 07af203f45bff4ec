"""Users, devices and sessions in PostgreSQL.

Each change and its events are one transaction, which begins with a lock of the customer's row. So
changes of one customer happen one after the other, and their events have the same order.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import asyncpg

from services.auth import events_out
from services.auth.errors import (
    AssertionInvalid,
    DeviceNotFound,
    LoginSessionInvalid,
    SessionNotFound,
)
from services.auth.events_out import Operator, Origin, Prepared
from services.auth.factor_store import FactorStore, columns_of
from services.auth.state import Device, EndCause, KeyUse, Session, User

NEWEST = uuid.UUID(int=2**128 - 1)
"""Above every id, so that a list starts with the newest row."""
LATEST = datetime(9999, 12, 31, tzinfo=UTC)
ENDED_ROWS_MAX = 100_000
SAMPLE_PAGES_MAX = 4_096
"""Pages of `users` in which hashes are counted: 32 MB, about 60,000 hashes."""


@dataclass(frozen=True, slots=True)
class Contact:
    """How to reach a user; the values are encrypted."""

    email_sealed: str
    phone_sealed: str


@dataclass(frozen=True, slots=True)
class NewDevice:
    """A device that logs in for the first time."""

    device_id: uuid.UUID
    device_name: str
    token_hash: bytes
    """SHA-256 of the token that the device keeps."""


@dataclass(frozen=True, slots=True)
class Completed:
    """A login whose factors were all right."""

    customer_id: uuid.UUID
    device: NewDevice | uuid.UUID
    """The id of a known device."""
    session_id: uuid.UUID
    expire_time: datetime
    login_epoch: int
    """The customer's epoch when the login began."""
    sessions_max: int
    """How many sessions the customer may have; the oldest ones beyond it end."""
    origin: Origin
    events: Sequence[Prepared]
    key_use: KeyUse | None = None
    """The third factor, when it was a device's key."""


@dataclass(frozen=True, slots=True)
class Ending:
    """The end of some sessions of a customer."""

    customer_id: uuid.UUID
    cause: EndCause
    origin: Origin
    session_ids: Sequence[uuid.UUID] | None = None
    """Only these sessions; None means all."""
    device_id: uuid.UUID | None = None
    """Only sessions of this device."""
    keep: uuid.UUID | None = None
    """A session that does not end."""
    events: Sequence[Prepared] = ()
    """Further events; SessionRevoked is written for each session."""
    operator: Operator | None = None
    """The operator who ends them; None for a customer or the bank."""


@dataclass(frozen=True, slots=True)
class OperatorRequest:
    """What an operator asked auth to do for a customer."""

    request_id: uuid.UUID
    kind: str
    """UNLOCK or END_SESSIONS."""
    customer_id: uuid.UUID
    os_user: str
    note: str = field(repr=False)


class Store(FactorStore):
    """The tables of schema auth, accessed as role bp_auth."""

    async def user_by_email(self, email_index: bytes) -> User | None:
        """Return the user with an e-mail address, by the blind index of its canonical form."""
        row = await self._pool.fetchrow(self._queries.user_by_email, email_index)
        return User(**row) if row else None

    async def user(self, customer_id: uuid.UUID) -> User | None:
        """Return one user."""
        row = await self._pool.fetchrow(self._queries.user, customer_id)
        return User(**row) if row else None

    async def contact(self, customer_id: uuid.UUID) -> Contact | None:
        """Return a user's encrypted e-mail address and telephone number."""
        row = await self._pool.fetchrow(self._queries.contact, customer_id)
        return Contact(**row) if row else None

    async def note_failure(self, email_index: bytes, events: Sequence[Prepared]) -> None:
        """Count a wrong password and write events, in one round trip.

        There must be an event, so that an unknown address costs a write like a known one.
        """
        await self._pool.execute(self._queries.note_failure, *columns_of(events), email_index)

    async def rehash(self, customer_id: uuid.UUID, old_hash: bytes, new_hash: bytes) -> bool:
        """Replace the hash of an unchanged password; False if the password was changed."""
        sql = self._queries.rehash
        return await self._pool.fetchval(sql, customer_id, old_hash, new_hash) is not None

    async def hashes_by_cost(self) -> dict[int, int]:
        """Return bcrypt's costs with the number of stored hashes in a sample of the table."""
        rows = await self._pool.fetch(self._queries.hashes_by_cost, SAMPLE_PAGES_MAX)
        return {int(row["cost"]): row["hashes"] for row in rows if row["cost"].isdigit()}

    async def change_password(self, new_hash: bytes, ending: Ending, epoch: int) -> list[Session]:
        """Replace a password, forget wrong tries and end sessions; return those that ended.

        No login that is in progress can complete afterwards. Raises SessionNotFound if the session
        `ending.keep` has ended, and LoginSessionInvalid if the customer's epoch is no longer
        `epoch`.
        """
        async with self._changing(ending.customer_id, ending.events) as connection:
            sql, time = self._queries.session, ending.origin.time
            # The customer's row is locked, so the session stays open until the commit.
            if ending.keep and not await connection.fetchrow(
                sql, ending.customer_id, ending.keep, time
            ):
                raise SessionNotFound()
            sql = self._queries.set_password
            if await connection.fetchval(sql, ending.customer_id, new_hash, time, epoch) is None:
                raise LoginSessionInvalid()
            return await self._ended(connection, ending)

    async def device_by_token(self, token_hash: bytes) -> Device | None:
        """Return the device that keeps a token, by the token's SHA-256."""
        row = await self._pool.fetchrow(self._queries.device_by_token, token_hash)
        return Device(**row) if row else None

    async def device(self, customer_id: uuid.UUID, device_id: uuid.UUID) -> Device:
        """Return one device of a customer. Raises DeviceNotFound."""
        row = await self._pool.fetchrow(self._queries.device, customer_id, device_id)
        if row is None:
            raise DeviceNotFound()
        return Device(**row)

    async def devices(
        self, customer_id: uuid.UUID, after: tuple[datetime, uuid.UUID] | None, rows: int
    ) -> list[Device]:
        """Return up to `rows` devices, the last used first, after a device's last_login_time and
        id."""
        time, device_id = after or (LATEST, NEWEST)
        found = await self._pool.fetch(self._queries.devices, customer_id, time, device_id, rows)
        return [Device(**row) for row in found]

    async def device_ids(self, customer_id: uuid.UUID) -> list[uuid.UUID]:
        """Return the ids of all devices of a customer."""
        rows = await self._pool.fetch(self._queries.device_ids, customer_id)
        return [row["device_id"] for row in rows]

    async def remove_device(self, ending: Ending) -> list[Session]:
        """Remove `ending.device_id` with its key and sessions; return the sessions that ended.

        Raises DeviceNotFound.
        """
        async with self._changing(ending.customer_id, ending.events) as connection:
            removed = await connection.fetchval(
                self._queries.remove_device,
                ending.customer_id,
                ending.device_id,
                ending.origin.time,
            )
            if removed is None:
                raise DeviceNotFound()
            return await self._ended(connection, ending)

    async def set_key(self, device: Device, events: Sequence[Prepared]) -> Device:
        """Give a device the key of `device`, in place of an earlier one; return the device.

        A device that has this key already keeps it with its counter, and no event is written: an
        app may send a registration twice at once. Raises DeviceNotFound, and AssertionInvalid if
        another device has the key.
        """
        try:
            async with self._changing(device.customer_id) as connection:
                sql, ids = self._queries.device, (device.customer_id, device.device_id)
                row = await connection.fetchrow(sql, *ids)
                if row is None:
                    raise DeviceNotFound()
                stored = Device(**row)
                if stored.credential_id == device.credential_id:
                    return stored
                key = device.credential_id, device.public_key, device.sign_count
                await connection.execute(self._queries.set_key, *ids, *key)
                if events:
                    await connection.execute(self._queries.append, *columns_of(events))
                return device
        except asyncpg.UniqueViolationError:
            raise AssertionInvalid() from None

    async def use_key(self, use: KeyUse) -> None:
        """Set a key's counter for a step-up.

        Raises AssertionInvalid if another login has set it meanwhile.
        """
        async with self._pool.acquire() as connection:
            await self._count(connection, use)

    async def complete_login(self, done: Completed) -> list[Session]:
        """Write a login; return the sessions that ended because the customer has too many.

        Raises LoginSessionInvalid if meanwhile the user or the known device was removed, the
        password was changed, or an operator ended the sessions; and AssertionInvalid if another
        login has set the key's counter.
        """
        async with self._pool.acquire() as connection, connection.transaction():
            noted = await connection.fetchval(
                self._queries.note_login, done.customer_id, done.origin.time, done.login_epoch
            )
            if noted is None or not await self._has_device(connection, done):
                raise LoginSessionInvalid()
            if done.key_use is not None:
                await self._count(connection, done.key_use)
            await connection.execute(
                self._queries.begin_session,
                done.session_id,
                done.customer_id,
                _device_id(done),
                done.origin.time,
                done.expire_time,
            )
            ended = await self._surplus_ended(connection, done)
            revoked = _revoked(done.origin, ended, EndCause.REVOKED)
            await connection.execute(self._queries.append, *columns_of([*done.events, *revoked]))
            return ended

    async def session(
        self, customer_id: uuid.UUID, session_id: uuid.UUID, now: datetime
    ) -> Session:
        """Return one session of a customer. Raises SessionNotFound, also for an ended one."""
        row = await self._pool.fetchrow(self._queries.session, customer_id, session_id, now)
        if row is None:
            raise SessionNotFound()
        return Session(**row)

    async def sessions(
        self, customer_id: uuid.UUID, before: uuid.UUID | None, now: datetime, rows: int
    ) -> list[Session]:
        """Return up to `rows` sessions of a customer below an id, newest first."""
        sql = self._queries.sessions
        found = await self._pool.fetch(sql, customer_id, before or NEWEST, now, rows)
        return [Session(**row) for row in found]

    async def end_sessions(self, ending: Ending) -> list[Session]:
        """End sessions of a customer; return those that had not ended before.

        The further events are written only if a session ended. So of two calls that find the same
        reason to end a session, one reports it.
        """
        async with self._changing(ending.customer_id) as connection:
            ended = await self._ended(connection, ending)
            if ended and ending.events:
                await connection.execute(self._queries.append, *columns_of(ending.events))
            return ended

    async def recently_ended(self, since: datetime) -> list[tuple[uuid.UUID, datetime]]:
        """Return sessions that ended before their time after `since`, with the time, latest first;
        at most ENDED_ROWS_MAX."""
        rows = await self._pool.fetch(self._queries.recently_ended, since, ENDED_ROWS_MAX)
        return [(row["session_id"], row["end_time"]) for row in rows]

    async def open_sessions(self, session_ids: Sequence[uuid.UUID]) -> set[uuid.UUID]:
        """Return which of these sessions are stored and have not ended."""
        rows = await self._pool.fetch(self._queries.open_sessions, list(session_ids))
        return {row["session_id"] for row in rows}

    async def note_refresh(self, session_id: uuid.UUID, now: datetime) -> bool:
        """Note that a session's tokens were refreshed; False if the session has ended."""
        return await self._pool.fetchval(self._queries.note_refresh, session_id, now) is not None

    async def operator_requests(self, rows: int) -> list[OperatorRequest]:
        """Return up to `rows` requests of operators that are not carried out, oldest first."""
        found = await self._pool.fetch(self._queries.operator_requests, rows)
        return [OperatorRequest(**row) for row in found]

    async def answer_unlock(
        self, request: OperatorRequest, unlocked: Prepared, now: datetime, counters: int
    ) -> bool:
        """Record that a customer is unlocked, with its event; False if that is recorded already."""
        async with self._changing(request.customer_id) as connection:
            sql = self._queries.answer_operator
            if await connection.fetchval(sql, request.request_id, now, counters) is None:
                return False
            await connection.execute(self._queries.append, *columns_of([unlocked]))
            return True

    async def answer_end_sessions(
        self, request: OperatorRequest, ending: Ending
    ) -> list[Session] | None:
        """End sessions and record how many; None, without a change, if that is recorded already.

        A process may reach a request long after another one carried it out: sessions that began
        since then stay open. No login that is in progress can complete afterwards.
        """
        async with self._changing(request.customer_id) as connection:
            # All answers to a customer's requests lock the customer's row, so this stays true.
            if await connection.fetchval(self._queries.is_operator_answered, request.request_id):
                return None
            await connection.execute(self._queries.begin_epoch, request.customer_id)
            ended = await self._ended(connection, ending)
            await connection.execute(
                self._queries.answer_operator, request.request_id, ending.origin.time, len(ended)
            )
            return ended

    async def _has_device(self, connection: Any, done: Completed) -> bool:
        """Add the new device, or note the login of the known one; False if that was removed."""
        time = done.origin.time
        if isinstance(done.device, uuid.UUID):
            sql = self._queries.use_device
            return await connection.fetchval(sql, done.customer_id, done.device, time) is not None
        await connection.execute(
            self._queries.add_device,
            done.device.device_id,
            done.customer_id,
            done.device.device_name,
            done.device.token_hash,
            time,
        )
        return True

    async def _count(self, connection: Any, use: KeyUse) -> None:
        sql = self._queries.bump_sign_count
        counted = await connection.fetchval(sql, use.device_id, use.count_before, use.count)
        if counted is None:
            raise AssertionInvalid()

    async def _surplus_ended(self, connection: Any, done: Completed) -> list[Session]:
        rows = await connection.fetch(
            self._queries.end_surplus_sessions,
            done.customer_id,
            done.session_id,
            done.origin.time,
            done.sessions_max - 1,
            EndCause.REVOKED.value,
        )
        return [Session(**row) for row in rows]

    async def _ended(self, connection: Any, ending: Ending) -> list[Session]:
        """End sessions and append their events; the customer's row is locked."""
        rows = await connection.fetch(
            self._queries.end_sessions,
            ending.customer_id,
            ending.origin.time,
            ending.cause.value,
            None if ending.session_ids is None else list(ending.session_ids),
            ending.device_id,
            ending.keep,
        )
        ended = [Session(**row) for row in rows]
        revoked = _revoked(ending.origin, ended, ending.cause, ending.operator)
        if revoked:
            await connection.execute(self._queries.append, *columns_of(revoked))
        return ended


def _device_id(done: Completed) -> uuid.UUID:
    return done.device if isinstance(done.device, uuid.UUID) else done.device.device_id


def _revoked(
    origin: Origin,
    ended: Sequence[Session],
    cause: EndCause,
    operator: Operator | None = None,
) -> list[Prepared]:
    return [events_out.session_revoked(origin, each, cause, operator) for each in ended]
