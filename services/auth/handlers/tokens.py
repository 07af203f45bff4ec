"""Tokens of a session: refreshed, and withdrawn when the session ends."""

import uuid
from collections.abc import Sequence

import structlog

from services.auth import events_out, withdrawal
from services.auth.errors import (
    RefreshTokenInvalid,
    RefreshTokenReused,
    SessionNotFound,
)
from services.auth.handlers.caller import Caller, origin
from services.auth.handlers.dependencies import Dependencies
from services.auth.handlers.factors import digest_of
from services.auth.handlers.undoing import completed, undone_on_failure
from services.auth.refresh import Family, Replay, Reused, Rotate, is_power_of_ten
from services.auth.state import EndCause, Factor, Session, TokenPair
from services.auth.store import Ending
from services.chassis.page_tokens import page_rows, query_digest
from services.kernel.clock import utc_now

log = structlog.get_logger()


async def refresh_tokens(deps: Dependencies, refresh_token: str, device_token: str) -> TokenPair:
    """Return the next tokens of a session.

    The same token returns the same tokens for half a minute, because a phone may lose the answer.
    After that a thief may have it, so its session ends.

    A caller that hangs up gets the tokens with its next call, because the provider may have
    replaced the token already.

    Raises RefreshTokenInvalid, RefreshTokenReused and DependencyUnavailable.
    """
    return await completed(_next_tokens(deps, refresh_token, device_token))


async def _next_tokens(deps: Dependencies, refresh_token: str, device_token: str) -> TokenPair:
    begun = await deps.families.begin(refresh_token, digest_of(device_token))
    if isinstance(begun, Replay):
        return begun.pair
    if isinstance(begun, Reused):
        await _end_reused(deps, begun.family)
        raise RefreshTokenReused
    if not isinstance(begun, Rotate):
        await note_wrong_device(deps, begun.wrong_device, "refresh.wrong_device")
        raise RefreshTokenInvalid
    async with undone_on_failure(lambda: deps.families.abandon(begun)):
        # The row says whether the session has ended, even if Valkey lost that.
        if not await deps.store.note_refresh(begun.family.session_id, utc_now()):
            raise RefreshTokenInvalid
        pair = await _refreshed(deps, begun.family, refresh_token)
        return await deps.families.finish(begun, pair)


async def note_wrong_device(deps: Dependencies, family: Family | None, logged: str) -> None:
    """Log and publish a call with a session's token and the device token of another device.

    `logged` is the name of the log line. The session's token may be stolen. A thief can repeat the
    call, so only the 1st, 10th, 100th and so on of a day are reported, with the number of those in
    between.
    """
    if family is None:
        return
    count = await deps.families.count_wrong_device(family.session_id)
    if not is_power_of_ten(count):
        return
    session_id, customer_id = str(family.session_id), str(family.customer_id)
    log.warning(logged, session_id=session_id, customer_id=customer_id, count_of_day=count)
    event = events_out.login_failed(
        origin(),
        family.customer_id,
        Factor.REFRESH_TOKEN,
        RefreshTokenInvalid.reason,
        refused_before=max(count - count // 10 - 1, 0),
    )
    await deps.store.append([event])


async def _refreshed(deps: Dependencies, family: Family, refresh_token: str) -> TokenPair:
    """Ask the provider. A session whose grant has ended there ends here too."""
    try:
        return await deps.provider.refresh(refresh_token)
    except RefreshTokenInvalid:
        ids = [family.session_id]
        ending = Ending(family.customer_id, EndCause.GRANT_ENDED, origin(), session_ids=ids)
        await deps.store.end_sessions(ending)
        await withdraw(deps, ids)
        raise


async def _end_reused(deps: Dependencies, family: Family) -> None:
    """End the session of a token that was used again, and notify the customer."""
    now = origin()
    try:
        session = await deps.store.session(family.customer_id, family.session_id, now.time)
    except SessionNotFound:
        await withdraw(deps, [family.session_id])
        return
    ending = Ending(
        customer_id=family.customer_id,
        cause=EndCause.TOKEN_REUSED,
        origin=now,
        session_ids=[family.session_id],
        events=[events_out.token_reused(now, session)],
    )
    await deps.store.end_sessions(ending)
    await withdraw(deps, [family.session_id])


async def withdraw(deps: Dependencies, session_ids: Sequence[uuid.UUID]) -> None:
    """Make the tokens of ended sessions useless. If Valkey fails, the caller gets the error."""
    await withdrawal.withdraw(deps.families, deps.revocations, session_ids)


async def logout(deps: Dependencies, me: Caller) -> None:
    """End the caller's own session; a second call changes nothing."""
    await _end(deps, me, me.session_id, EndCause.LOGOUT)


async def revoke_session(deps: Dependencies, me: Caller, session_id: uuid.UUID) -> None:
    """End one of the caller's sessions; raise SessionNotFound for a session of another customer.

    A session that has ended is not found either.
    """
    await deps.store.session(me.customer_id, session_id, utc_now())
    await _end(deps, me, session_id, EndCause.REVOKED)


async def _end(deps: Dependencies, me: Caller, session_id: uuid.UUID, cause: EndCause) -> None:
    ending = Ending(me.customer_id, cause, origin(), session_ids=[session_id])
    await deps.store.end_sessions(ending)
    await withdraw(deps, [session_id])


async def list_sessions(
    deps: Dependencies, me: Caller, *, page_size: int, page_token: str
) -> tuple[list[Session], str]:
    """Return one page of the open sessions, newest first, and the token of the next page.

    Raises PageTokenInvalid.
    """
    digest = query_digest("ListSessions", me.customer_id)
    cursor = deps.tokens.open(page_token, digest)
    rows = page_rows(page_size)
    found = await deps.store.sessions(me.customer_id, cursor, utc_now(), rows + 1)
    if len(found) <= rows:
        return found, ""
    return found[:rows], deps.tokens.seal(digest, found[rows - 1].session_id)
