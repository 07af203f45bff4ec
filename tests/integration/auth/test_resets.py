"""Resets: their limits delay no login, and their answers reveal no account."""

import asyncio
import uuid
from collections.abc import Sequence
from dataclasses import replace

import pytest
from bp.auth.v1 import auth_service_pb2 as pb
from structlog.testing import capture_logs

from services.auth import background
from services.auth.charges import Recipient
from services.auth.errors import (
    AuthError,
    LoginSessionInvalid,
    OtpInvalid,
    OtpResendTooSoon,
    OtpSendsExhausted,
    TriesExhausted,
)
from services.auth.handlers.factors import digest_of
from services.auth.sealing import Sealed, Sealer
from services.auth.state import Factor, Purpose, User
from services.auth.store import NewDevice, Store
from services.auth.throttle import Subject
from services.kernel.clock import utc_now
from services.kernel.ids import new_id
from tests.integration.auth.conftest import User as Account
from tests.integration.auth.conftest import log_in
from tests.integration.auth.handling import NEW, Handling, call_from
from tests.integration.auth.logins import new_token

WRONG, RIGHT = "not a code", "123456"


async def _known_device(auth: Handling) -> str:
    """Let the customer log in with a new device; return the device's token."""
    user, token = await auth.user(), new_token()
    device = NewDevice(new_id(), "phone", digest_of(token))
    await log_in(auth.deps.store, Account(user.customer_id, user.email_index), device)
    return token


async def _refusal(auth: Handling, session_id: str, otp: str) -> tuple[type[AuthError], bool]:
    """Return the error of a reset, and whether it says when to retry."""
    with pytest.raises(AuthError) as raised:
        await auth.reset(session_id, otp)
    return type(raised.value), getattr(raised.value, "retry_after_s", None) is not None


async def _refusals(auth: Handling, email: str) -> list[tuple[type[AuthError], bool]]:
    """Send wrong codes to two resets of an address; return the errors."""
    found: list[tuple[type[AuthError], bool]] = []
    for _ in range(2):
        session_id = await auth.forgot(email)
        found += [await _refusal(auth, session_id, WRONG) for _ in range(6)]
    return found


async def test_resets_of_known_and_unknown_addresses_ask_openbao_equally_often(
    auth: Handling, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise many resets at once slow the caller's next calls if the address has an account."""
    asked, unseal = list[int](), Sealer.unseal_all

    async def counted(sealer: Sealer, values: Sequence[Sealed]) -> list[bytes]:
        asked[-1] += 1
        return await unseal(sealer, values)

    monkeypatch.setattr(Sealer, "unseal_all", counted)
    for address in (auth.person.email, f"x{auth.person.email}"):
        asked.append(0)
        for _ in range(3):
            await auth.forgot(address)
        await auth.deps.background.drain(30)
    assert asked == [3, 3]


async def test_wrong_codes_have_the_same_answers_for_known_and_unknown_addresses(
    auth: Handling,
) -> None:
    """Across sessions too: the tries of an unknown address count together."""
    known = await _refusals(auth, auth.person.email)
    assert known[:5] == [(OtpInvalid, False)] * 5
    assert known[5] == (LoginSessionInvalid, False)
    assert known[6] == (TriesExhausted, True)
    assert await _refusals(auth, f"x{auth.person.email}") == known


async def test_wrong_codes_of_strangers_delay_neither_a_login_nor_a_reset_on_a_known_device(
    auth: Handling,
) -> None:
    token = await _known_device(auth)
    await _refusals(auth, auth.person.email)
    subject = Subject((await auth.user()).email_index, None, "")
    await auth.deps.tries.admit(subject, Factor.SMS_CODE)
    session_id = await auth.forgot(device_token=token)
    await auth.deps.codes.put(session_id, Purpose.RESET, RIGHT)
    await auth.reset(session_id, RIGHT)
    fresh = await auth.forgot()
    assert await _refusal(auth, fresh, WRONG) == (OtpInvalid, False), "a reset ends its locks"


async def test_a_device_of_another_customer_is_a_stranger(auth: Handling) -> None:
    token = await _known_device(auth)
    session_id = await auth.forgot(f"x{auth.person.email}", token)
    assert (await auth.deps.sessions.read(session_id)).device_id is None


async def test_strangers_do_not_use_up_the_codes_of_a_known_device(auth: Handling) -> None:
    """Each forgotten password of a stranger is one of the number's ten codes of a day."""
    user = await auth.user()
    for _ in range(auth.deps.settings.otp_sends_per_number_max):
        await auth.deps.sends.admit(_recipient(user.phone_index))
    with pytest.raises(OtpSendsExhausted):
        await auth.deps.sends.admit(_recipient(user.phone_index))
    session_id = await auth.forgot(device_token=await _known_device(auth))
    assert (await auth.deps.sessions.read(session_id)).device_id is not None
    await auth.deps.sends.admit(_recipient(user.phone_index, uuid.UUID(int=1)))


def _recipient(phone_index: bytes, device_id: uuid.UUID | None = None) -> Recipient:
    """Return where a code of a reset goes to."""
    return Recipient(phone_index, b"one prefix".ljust(32), Purpose.RESET, device_id)


async def _resend(auth: Handling, session_id: str) -> pb.ResendOtpResponse:
    call_from(uuid.uuid4())
    return await auth.api.resend_otp(pb.ResendOtpRequest(session_id=session_id), None)


async def _end_wait(auth: Handling, session_id: str) -> None:
    session = await auth.deps.sessions.read(session_id)
    await auth.deps.sessions.advance(
        session_id, session, replace(session, next_send_time=utc_now())
    )


@pytest.mark.parametrize("are_codes_used_up", [False, True])
async def test_a_code_is_sent_again_with_the_same_answer_for_known_and_unknown_addresses(
    auth: Handling, are_codes_used_up: bool
) -> None:
    """Neither the outage of the SMS gateway nor a limit that is reached shows in the answer."""
    user = await auth.user()
    if are_codes_used_up:
        for _ in range(auth.deps.settings.otp_sends_per_number_max):
            await auth.deps.sends.admit(_recipient(user.phone_index))
    seen: list[list[object]] = []
    for email in (auth.person.email, f"x{auth.person.email}"):
        session_id = await auth.forgot(email)
        answers: list[object] = []
        for _ in range(3):
            with pytest.raises(OtpResendTooSoon) as raised:
                await _resend(auth, session_id)
            answers.append(round((raised.value.retry_after_s or 0) / 30))
            await _end_wait(auth, session_id)
            again = await _resend(auth, session_id)
            wait_s = again.resend_time.seconds - int(utc_now().timestamp())
            answers += [again.phone_hint, round(wait_s / 30)]
        seen.append(answers)
    assert seen[0] == seen[1]
    assert seen[0][:3] == [1, "", 2]


async def test_a_code_that_was_not_sent_can_be_tried_like_any_other(auth: Handling) -> None:
    """The SMS gateway is down. Without a stored code, the answers would show the account."""
    session_id = await auth.forgot()
    await auth.deps.background.drain(30)
    for _ in range(5):
        assert await _refusal(auth, session_id, WRONG) == (OtpInvalid, False)
    assert await _refusal(auth, session_id, WRONG) == (LoginSessionInvalid, False)


async def test_a_reset_that_began_before_another_one_was_done_is_invalid(auth: Handling) -> None:
    first, second = await auth.forgot(), await auth.forgot()
    for session_id in (first, second):
        await auth.deps.codes.put(session_id, Purpose.RESET, RIGHT)
    await auth.reset(second, RIGHT)
    assert await _refusal(auth, first, RIGHT) == (LoginSessionInvalid, False)
    before = (await auth.user()).password_hash
    with pytest.raises(LoginSessionInvalid):
        await auth.reset(first, RIGHT, f"{NEW} again")
    assert (await auth.user()).password_hash == before


@pytest.fixture
def hours(monkeypatch: pytest.MonkeyPatch) -> None:
    """The code of a reset is sent after a delay that outlasts the test."""
    monkeypatch.setattr(background, "DELAY_S", (3600.0, 7200.0))


@pytest.mark.usefixtures("hours")
async def test_no_work_follows_the_answer_to_a_request_for_a_reset_at_once(
    auth: Handling, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only an account causes more than one statement, which would slow the caller's next call."""
    reads, read = list[bytes](), Store.user_by_email

    async def noted(store: Store, index: bytes) -> User | None:
        reads.append(index)
        return await read(store, index)

    monkeypatch.setattr(Store, "user_by_email", noted)
    await auth.forgot()
    for _ in range(100):
        await asyncio.sleep(0)
    assert len(reads) == 1
    with capture_logs() as logs:
        await auth.deps.background.drain(30)
    assert len(reads) == 2
    assert [line["work"] for line in logs if "work" in line] == ["reset code"], "no gateway"


async def test_a_code_that_finds_no_place_leaves_the_earlier_one_right(
    auth: Handling, monkeypatch: pytest.MonkeyPatch
) -> None:
    session_id = await auth.forgot()
    await auth.deps.background.drain(30)
    await auth.deps.codes.put(session_id, Purpose.RESET, RIGHT)
    await _end_wait(auth, session_id)
    monkeypatch.setattr(background, "DELAYED_MAX", 0)
    await _resend(auth, session_id)
    await auth.reset(session_id, RIGHT)
