"""What every factor has in common: tries are reserved, wrong ones are counted and recorded."""

import hashlib
import re
import uuid
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from services.auth import events_out
from services.auth.errors import AuthError
from services.auth.events_out import Prepared
from services.auth.handlers.caller import origin
from services.auth.handlers.dependencies import Dependencies
from services.auth.handlers.undoing import completed, undone_on_failure
from services.auth.state import Factor, Purpose, User
from services.auth.throttle import Subject, WrongTry, network_of
from services.chassis.call_context import current_call
from services.chassis.unreachable import UNREACHABLE

_SECRET = re.compile(r"[A-Za-z0-9_-]{43}")
"""32 bytes as base64url without padding, as secrets.token_urlsafe writes them."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of a factor."""

    subject: Subject
    factor: Factor
    user: User | None
    """The customer; None for an unknown address."""


def attempt_of(
    account: bytes,
    user: User | None,
    device_id: uuid.UUID | None,
    factor: Factor,
    *,
    purpose: Purpose = Purpose.LOGIN,
    session_id: uuid.UUID | None = None,
) -> Attempt:
    """Return the try of the running call; `account` is the blind index of the e-mail address.

    `session_id` is the session of the access token with which the call, or its login session,
    began; None for a login and a reset.
    """
    address = network_of(current_call.get().client_address)
    subject = Subject(account, device_id, address, purpose, session_id)
    return Attempt(subject, factor, user)


@asynccontextmanager
async def undecided(deps: Dependencies, attempt: Attempt) -> AsyncGenerator[None]:
    """Reserve a try for the block, and remove it if the block raises: the factor was not checked.

    A caller that hangs up has used its try; see Tries.hang_up for the account of a stranger.
    Raises TriesExhausted while a lock lasts.
    """
    tried, is_admitted = (attempt.subject, attempt.factor), False

    async def admit() -> None:
        nonlocal is_admitted
        await deps.tries.admit(*tried)
        is_admitted = True

    async def undo() -> None:
        if is_admitted:
            await deps.tries.undo(*tried)

    async def hang_up() -> None:
        if is_admitted:
            await deps.tries.hang_up(*tried)

    async with undone_on_failure(undo, on_hang_up=hang_up):
        # A caller may hang up while Valkey answers; then the try is reserved, too.
        await completed(admit())
        yield


async def right(deps: Dependencies, attempt: Attempt) -> None:
    """Report that the reserved try was right, also if the caller hangs up."""
    await completed(deps.tries.right(attempt.subject, attempt.factor))


def digest_of(secret: str) -> bytes:
    """Return the SHA-256 of a random secret, the only form in which the bank stores it."""
    return hashlib.sha256(secret.encode()).digest()


def may_be_secret(text: str) -> bool:
    """Return whether a text has the form of a random secret of 32 bytes, such as a device token."""
    return _SECRET.fullmatch(text) is not None


async def wrong(deps: Dependencies, attempt: Attempt, error: AuthError) -> None:
    """Count and record a wrong try, and a lock that begins with it.

    The work is the same for a customer and for an unknown address. It is completed also if the
    caller hangs up, so an attacker cannot keep a lock out of the events.
    """
    await completed(_recorded(deps, attempt, error))


async def _recorded(deps: Dependencies, attempt: Attempt, error: AuthError) -> None:
    """Record a wrong try. If the database fails, the next wrong try reports the lock."""
    subject, factor = attempt.subject, attempt.factor
    try:
        counted = await deps.tries.wrong(subject, factor)
    except UNREACHABLE:
        # The try counts, so it must not be missing in the events. Its lock is not known.
        await _append(deps, attempt, _events(attempt, error, WrongTry(None, 0)))
        raise
    async with undone_on_failure(lambda: deps.tries.unrecorded(subject, factor, counted)):
        await _append(deps, attempt, _events(attempt, error, counted))


async def _append(deps: Dependencies, attempt: Attempt, events: Sequence[Prepared]) -> None:
    if attempt.factor is Factor.PASSWORD:
        await deps.store.note_failure(attempt.subject.account, events)
    else:
        await deps.store.append(events)


def _events(attempt: Attempt, error: AuthError, counted: WrongTry) -> list[Prepared]:
    now, factor = origin(), attempt.factor
    customer_id = attempt.user.customer_id if attempt.user else None
    failed = events_out.login_failed(
        now,
        customer_id,
        factor,
        error.reason,
        known_device=attempt.subject.device_id is not None,
        refused_before=counted.refused_before,
    )
    events, lock = [failed], counted.lock
    if lock is not None:
        events.append(
            events_out.login_locked(now, customer_id, factor, lock.scope.value, lock.lock_s)
        )
    return events
