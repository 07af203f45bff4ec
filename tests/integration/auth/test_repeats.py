"""An app that repeats a slow or failed call: it loses no code, and no answer blames it."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import pytest
from aiohttp import web
from bp.auth.v1.auth_events_pb2 import AuthEvent

from ops.waiting import scaled_s, until
from sandbox.phone import SoftwareKey, encoded
from services.auth.codes import Codes, Verdict
from services.auth.device_keys import Assertion, Registration, new_challenge, verify_registration
from services.auth.errors import LoginSessionInvalid, TriesExhausted
from services.auth.faces import Comparison, FaceMatch, FacesUnavailable, Liveness, LivenessState
from services.auth.handlers import biometric, codes, passwords, second_factor
from services.auth.handlers.dependencies import Dependencies
from services.auth.handlers.factors import digest_of
from services.auth.partners.sms import SmsGateway
from services.auth.password_pool import PasswordPool, QueueLimits
from services.auth.polling import polled
from services.auth.results import Wanted
from services.auth.state import BiometricMethod, Device, OtpMethod, Purpose, Step
from services.auth.store import NewDevice
from services.auth.throttle import RULES, Scope
from services.kernel.clock import utc_now
from services.kernel.errors import DependencyUnavailable, RateLimited
from services.kernel.ids import new_id
from tests.integration.auth.conftest import User, log_in
from tests.integration.auth.handling import COST, NEW, Handling
from tests.integration.auth.logins import new_token

CODE = "123456"
WAITING = (
    "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND usename = 'bp_auth'"
)


class SlowFaces:
    """A face service that begins liveness checks slowly, and counts them."""

    def __init__(self) -> None:
        self.begun = 0
        self.answers = asyncio.Event()

    async def create_liveness_session(self) -> str:
        """Answer when the test says so."""
        self.begun += 1
        await self.answers.wait()
        return f"live-{self.begun}"

    async def liveness(self, session_id: str) -> Liveness:
        """No result yet."""
        return Liveness(LivenessState.PENDING)

    async def compare(self, reference: bytes, picture: bytes) -> Comparison:
        """Never called here."""
        raise FacesUnavailable


async def _failures(auth: Handling, pool: asyncpg.Pool) -> int:
    """Return how many wrong tries of the customer are recorded."""
    user = await auth.user()
    rows = await pool.fetch("SELECT payload FROM auth.event WHERE key = $1", user.customer_id)
    events = [AuthEvent.FromString(row["payload"]) for row in rows]
    return [event.WhichOneof("event") for event in events].count("login_failed")


@asynccontextmanager
async def _gateway(folder: Path) -> AsyncGenerator[SmsGateway]:
    """Yield auth's client of an SMS gateway that accepts each message."""

    async def accept(_request: web.Request) -> web.Response:
        return web.json_response({}, status=202)

    app = web.Application()
    app.router.add_post("/v1/messages", accept)
    runner, socket = web.AppRunner(app), str(folder / "sms.sock")
    await runner.setup()
    await web.UnixSite(runner, socket).start()
    async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(socket)) as session:
        yield SmsGateway(session, {"sender": "BP", "api_key": "key"})
    await runner.cleanup()


async def _sent_today(auth: Handling) -> int:
    """Return how many codes for logins all numbers got today."""
    found = [key async for key in auth.logins.client.scan_iter("sends:login:*")]
    return sum([int(await auth.logins.client.get(key) or 0) for key in found])


async def _parallel(*calls: Coroutine[Any, Any, Any]) -> list[Any]:
    return await asyncio.gather(*calls, return_exceptions=True)


# The code of a reset


async def test_a_full_queue_of_passwords_gives_the_code_of_a_reset_back(auth: Handling) -> None:
    full = PasswordPool(COST, 1, QueueLimits(0, -1.0))
    session_id = await auth.forgot()
    await auth.deps.codes.put(session_id, Purpose.RESET, CODE)
    before = (await auth.user()).password_hash
    with pytest.raises(RateLimited):
        await passwords.reset_password(replace(auth.deps, passwords=full), session_id, CODE, NEW)
    full.close()
    assert (await auth.user()).password_hash == before
    await auth.reset(session_id, CODE)
    assert (await auth.user()).password_hash != before


async def test_a_reset_that_hangs_up_at_the_database_is_completed_and_can_be_repeated(
    auth: Handling, superuser: asyncpg.Pool
) -> None:
    user, session_id = await auth.user(), await auth.forgot()
    await auth.deps.codes.put(session_id, Purpose.RESET, CODE)
    async with superuser.acquire() as connection, connection.transaction():
        lock = "SELECT FROM auth.users WHERE customer_id = $1 FOR UPDATE"
        await connection.execute(lock, user.customer_id)
        reset = asyncio.ensure_future(auth.reset(session_id, CODE))
        await until(lambda: superuser.fetchval(WAITING), 60, "the reset waits for the row")
        reset.cancel()
    with suppress(asyncio.CancelledError):
        await reset
    changed = (await auth.user()).password_hash
    assert changed != user.password_hash
    await auth.reset(session_id, CODE)
    assert (await auth.user()).password_hash == changed
    with pytest.raises(LoginSessionInvalid):
        await auth.reset(session_id, CODE, f"{NEW} again")


async def test_a_reset_whose_password_is_being_replaced_accepts_no_other_call(
    auth: Handling,
) -> None:
    session_id = await auth.waiting_for_code(CODE, purpose=Purpose.RESET, step=Step.REPLACING)
    with pytest.raises(LoginSessionInvalid):
        await auth.reset(session_id, CODE)
    with pytest.raises(LoginSessionInvalid):
        await codes.resend(auth.deps, session_id)


# The second factor


async def _verified_twice(deps: Dependencies, session_id: str, code: str = CODE) -> list[Any]:
    call = biometric.verify_otp(deps, session_id, code, None, None)
    return await _parallel(call, biometric.verify_otp(deps, session_id, code, None, None))


async def test_a_right_code_that_is_sent_twice_at_once_gets_the_same_answer_twice(
    auth: Handling, pool: asyncpg.Pool
) -> None:
    """The app repeats a slow call. The bank begins one liveness check and records no wrong try."""
    service = SlowFaces()
    deps = replace(auth.deps, faces=FaceMatch(service, 60))
    session_id = await auth.waiting_for_code(CODE)
    calls = asyncio.ensure_future(_verified_twice(deps, session_id))
    async with asyncio.timeout(scaled_s(60)):
        while not service.begun and not calls.done():
            await asyncio.sleep(0)
    service.answers.set()
    first, second = await calls
    assert isinstance(first, Wanted)
    assert first == second
    assert service.begun == 1
    assert await _failures(auth, pool) == 0


async def test_a_right_code_that_crosses_a_resend_is_right(
    auth: Handling, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The session counts the next message between the comparison of the code and its use."""
    session_id = await auth.waiting_for_code(CODE)
    check = Codes.check

    async def crossed(self: Codes, *args: Any) -> Verdict:
        verdict, session = await check(self, *args), await auth.deps.sessions.read(session_id)
        if not session.sends:
            await auth.deps.sessions.advance(session_id, session, replace(session, sends=1))
        return verdict

    monkeypatch.setattr(Codes, "check", crossed)
    service = SlowFaces()
    service.answers.set()
    deps = replace(auth.deps, faces=FaceMatch(service, 60))
    wanted = await biometric.verify_otp(deps, session_id, CODE, None, None)
    assert wanted.session.sends == 1


async def test_a_code_that_no_call_gets_accepted_is_wrong(
    auth: Handling, pool: asyncpg.Pool
) -> None:
    """A call waits two seconds for a parallel one, and then its try counts."""
    session_id = await auth.waiting_for_code(CODE, methods=(OtpMethod.RECOVERY_CODE,))
    answers = await _verified_twice(auth.deps, session_id, "K4TQZ-7WMCA")
    assert {getattr(answer, "reason", None) for answer in answers} == {"OTP_INVALID"}
    assert await _failures(auth, pool) == 2


async def _hang_up_often(auth: Handling, session_id: str, waits: asyncio.Event) -> None:
    """Try wrong recovery codes, and hang up when `waits` says that the call waits."""
    for _ in range(3 * RULES[Scope.STRANGERS].free):
        waits.clear()
        call = asyncio.ensure_future(
            biometric.verify_otp(auth.deps, session_id, "K4TQZ-7WMCA", None, None)
        )
        waiting = asyncio.ensure_future(waits.wait())
        await asyncio.wait((call, waiting), return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        call.cancel()  # a call that was refused has ended
        with suppress(asyncio.CancelledError):
            await call


async def test_a_caller_that_hangs_up_while_it_waits_for_a_parallel_call_has_used_its_try(
    auth: Handling, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a caller could try recovery codes with no limit, and hang up after each."""
    waits = asyncio.Event()

    async def noted(look: Callable[[], Awaitable[Any]], within_s: float) -> Any:
        waits.set()
        for _ in range(10):  # the driver of Valkey may lose a cancellation
            await asyncio.sleep(0)
        return await polled(look, within_s)

    monkeypatch.setattr(second_factor, "ACCEPTED_WITHIN_S", 0.2)
    monkeypatch.setattr(second_factor, "polled", noted)
    session_id = await auth.waiting_for_code(CODE, methods=(OtpMethod.RECOVERY_CODE,))
    with pytest.raises(TriesExhausted):
        await _hang_up_often(auth, session_id, waits)


# The codes of a day


async def test_of_parallel_requests_for_a_code_one_uses_up_a_code_of_the_day(
    auth: Handling, tmp_path: Path
) -> None:
    """The gateway accepts the one message."""
    before = await _sent_today(auth)
    async with _gateway(tmp_path) as gateway:
        deps = replace(auth.deps, sms=gateway)
        session_id = await auth.waiting_for_code(CODE)
        answers = await _parallel(*(codes.resend(deps, session_id) for _ in range(4)))
    assert sum(isinstance(answer, LoginSessionInvalid) for answer in answers) == 3, answers
    assert await _sent_today(auth) == before + 1


# The third factor


async def test_a_repeated_last_step_is_a_503_while_the_first_one_fetches_the_tokens(
    auth: Handling, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a slow provider, the app must not begin a new login, but repeat the call."""
    monkeypatch.setattr(biometric, "ANSWERED_WITHIN_S", 0.0)
    session_id = await auth.waiting_for_code(
        CODE, step=Step.COMPLETING, biometric_method=BiometricMethod.FACE, owner=bytes(16)
    )
    with pytest.raises(DependencyUnavailable) as refused:
        await biometric.verify_biometric(auth.deps, session_id, b"picture", "")
    assert refused.value.retry_after_s


async def _device_with(auth: Handling, key: SoftwareKey) -> Device:
    """Let the customer log in with a device that has a key."""
    user, device = await auth.user(), NewDevice(new_id(), "phone", digest_of(new_token()))
    await log_in(auth.deps.store, User(user.customer_id, user.email_index), device)
    stored = await auth.deps.store.device(user.customer_id, device.device_id)
    made = key.register(encoded(bytes(32)))
    known = verify_registration(Registration(**asdict(made)), bytes(32), auth.deps.settings)
    with_key = replace(stored, credential_id=known.credential_id, public_key=known.public_key)
    await auth.deps.store.set_key(with_key, [])
    return with_key


@pytest.mark.parametrize("purpose", [Purpose.LOGIN, Purpose.STEP_UP])
async def test_a_signature_of_a_key_that_counts_may_be_repeated_after_an_outage_of_the_provider(
    auth: Handling, pool: asyncpg.Pool, purpose: Purpose
) -> None:
    settings = auth.deps.settings
    key = SoftwareKey(settings.web_domain, settings.web_origins[0])
    device = await _device_with(auth, key)
    (session,) = await auth.deps.store.sessions(device.customer_id, None, utc_now(), 2)
    challenge = new_challenge()
    session_id = await auth.waiting_for_code(
        CODE,
        purpose=purpose,
        step=Step.AWAITING_BIOMETRIC,
        device_id=device.device_id,
        session_id=session.session_id if purpose is Purpose.STEP_UP else None,
        biometric_method=BiometricMethod.DEVICE_KEY,
        challenge=challenge,
    )
    signed = Assertion(**asdict(key.sign(encoded(challenge))))
    for _ in range(3):
        with pytest.raises(DependencyUnavailable):
            await biometric.verify_biometric(auth.deps, session_id, signed, "")
    assert await _failures(auth, pool) == 0
    stored = await auth.deps.store.device(device.customer_id, device.device_id)
    assert stored.sign_count == 0
