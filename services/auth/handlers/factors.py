"""What every factor has in common: tries are reserved, wrong ones are counted and recorded."""

import hashlib
import re
import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from services.auth import events_out
from services.auth.errors import AuthError
from services.auth.handlers.caller import origin
from services.auth.handlers.dependencies import Dependencies
from services.auth.handlers.undoing import undone_on_failure
from services.auth.state import Factor, Purpose, User
from services.auth.throttle import Subject, network_of
from services.chassis.call_context import current_call

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
    """Remove an admitted try if the block raises, because the factor was not checked.

    A caller that hangs up has used its try; see Tries.hang_up for the account of a stranger.
    """
    tried = attempt.subject, attempt.factor
    async with undone_on_failure(
        lambda: deps.tries.undo(*tried), on_hang_up=lambda: deps.tries.hang_up(*tried)
    ):
        yield


def digest_of(secret: str) -> bytes:
    """Return the SHA-256 of a random secret, the only form in which the bank stores it."""
    return hashlib.sha256(secret.encode()).digest()


def may_be_secret(text: str) -> bool:
    """Return whether a text has the form of a random secret of 32 bytes, such as a device token."""
    return _SECRET.fullmatch(text) is not None


async def wrong(deps: Dependencies, attempt: Attempt, error: AuthError) -> None:
    """Count and record a wrong try, and a lock that begins with it.

    The work is the same for a customer and for an unknown address.
    """
    subject, factor = attempt.subject, attempt.factor
    counted = await deps.tries.wrong(subject, factor)
    now = origin()
    customer_id = attempt.user.customer_id if attempt.user else None
    events = [
        events_out.login_failed(
            now,
            customer_id,
            factor,
            error.reason,
            known_device=subject.device_id is not None,
            refused_before=counted.refused_before,
        )
    ]
    lock = counted.lock
    if lock is not None:
        events.append(
            events_out.login_locked(now, customer_id, factor, lock.scope.value, lock.lock_s)
        )
    if factor is Factor.PASSWORD:
        await deps.store.note_failure(subject.account, events)
    else:
        await deps.store.append(events)
