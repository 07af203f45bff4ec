"""The authenticator app as a second factor, with its recovery codes."""

from services.auth import events_out
from services.auth import totp as codes
from services.auth.errors import OtpInvalid, TotpAlreadyEnrolled, TotpNotEnrolled
from services.auth.factor_store import TotpConfirmation
from services.auth.handlers.caller import Caller, origin
from services.auth.handlers.dependencies import Dependencies
from services.auth.handlers.factors import attempt_of, right, undecided, wrong
from services.auth.handlers.undoing import completed
from services.auth.results import Enrolment
from services.auth.sealing import Field
from services.auth.state import Factor, User
from services.kernel.clock import utc_now
from services.kernel.errors import Unauthenticated


async def enrol_totp(deps: Dependencies, me: Caller) -> Enrolment:
    """Begin an enrolment; it replaces one that was not confirmed. Raises TotpAlreadyEnrolled."""
    user = await _user(deps, me)
    secret = codes.new_secret()
    sealed = await deps.sealer.seal(user.customer_id, Field.TOTP_SECRET, secret)
    await deps.store.start_totp(user.customer_id, sealed, utc_now())
    uri = codes.otpauth_uri(secret, str(user.customer_id))
    return Enrolment(secret, uri, codes.qr_svg(uri))


async def confirm_totp(deps: Dependencies, me: Caller, code: str) -> list[str]:
    """Complete an enrolment with the app's first code; return the recovery codes.

    Raises TotpNotEnrolled, TotpAlreadyEnrolled, OtpInvalid and TriesExhausted.
    """
    user = await _user(deps, me)
    app = await deps.store.totp(user.customer_id)
    if app is None:
        raise TotpNotEnrolled
    if app.confirmed:
        raise TotpAlreadyEnrolled
    factor = Factor.AUTHENTICATOR_APP
    attempt = attempt_of(user.email_index, user, me.device_id, factor, session_id=me.session_id)
    async with undecided(deps, attempt):
        secret = await deps.sealer.unseal(user.customer_id, Field.TOTP_SECRET, app.secret_sealed)
    step = codes.matching_step(secret.decode(), code, utc_now())
    if step is None:
        error = OtpInvalid()
        await wrong(deps, attempt, error)
        raise error
    await right(deps, attempt)
    # Not half done: otherwise a repeated call crosses a transaction that still commits.
    return await completed(_confirmed(deps, user, app.secret_sealed, step))


async def _confirmed(deps: Dependencies, user: User, sealed: str, step: int) -> list[str]:
    recovery = codes.new_recovery_codes()
    key, customer_id = deps.keys.code_key, user.customer_id
    digests = [codes.recovery_digest(key, customer_id, one) for one in recovery]
    now = origin()
    await deps.store.confirm_totp(
        TotpConfirmation(
            customer_id=customer_id,
            secret_sealed=sealed,
            step=step,
            time=now.time,
            code_hashes=[digest for digest in digests if digest],
            events=[events_out.factor_added(now, customer_id, Factor.AUTHENTICATOR_APP)],
        )
    )
    return recovery


async def remove_totp(deps: Dependencies, me: Caller) -> None:
    """Remove the authenticator app and its recovery codes; raise TotpNotEnrolled."""
    removed = events_out.factor_removed(origin(), me.customer_id, Factor.AUTHENTICATOR_APP)
    await deps.store.remove_totp(me.customer_id, [removed])


async def _user(deps: Dependencies, me: Caller) -> User:
    user = await deps.store.user(me.customer_id)
    if user is None:
        raise Unauthenticated
    return user
