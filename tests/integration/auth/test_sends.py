"""The counters of text messages on a real Valkey."""

import asyncio
import secrets
import uuid
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio
from redis.asyncio import Redis
from structlog.testing import capture_logs

from ops.provision.valkey import OPERATOR
from services.auth.charges import RESETS_KEY, Recipient, number_key, prefix_key
from services.auth.counters import Sends
from services.auth.errors import OtpSendsExhausted
from services.auth.settings import AuthSettings
from services.auth.state import Purpose
from tests.rigs.stores import ValkeyStore

DEVICE = uuid.UUID(int=1)


@pytest_asyncio.fixture
async def client(valkey: ValkeyStore) -> AsyncGenerator[Redis]:
    """Auth's own login."""
    made = valkey.client("auth")
    yield made
    await made.aclose()


def _to(number: bytes, prefix: bytes, purpose: Purpose = Purpose.LOGIN) -> Recipient:
    """Return a number to which a stranger wants a code."""
    return Recipient(number, prefix, purpose)


def _settings(per_number: int = 3, per_prefix: int = 5, resets: int = 10_000) -> AuthSettings:
    return AuthSettings(
        home=Path("unused"),
        socket_in=Path("unused"),
        openbao_addr="unused",
        service_account_token_file=Path("unused"),
        otp_sends_per_number_max=per_number,
        otp_sends_per_prefix_max=per_prefix,
        otp_known_sends_per_prefix_max=2 * per_prefix,
        otp_known_sends_per_number_max=2 * per_number,
        otp_stranger_resets_max=resets,
    )


async def _sends(
    client: Redis, number: bytes, prefix: bytes, count: int, purpose: Purpose = Purpose.LOGIN
) -> int:
    return await _sends_to(client, _to(number, prefix, purpose), count)


async def _sends_to(client: Redis, to: Recipient, count: int) -> int:
    """Ask for messages at the same time, and return how many may be sent."""
    sends = Sends(client, _settings())
    calls = [sends.admit(to) for _ in range(count)]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    refused = [each for each in answers if isinstance(each, OtpSendsExhausted)]
    assert all(0 < (each.retry_after_s or 0) <= 86_400 for each in refused)
    assert answers.count(None) + len(refused) == count
    return answers.count(None)


async def test_codes_to_one_number_are_limited_for_each_purpose(client: Redis):
    number = secrets.token_bytes(32)
    assert await _sends(client, number, secrets.token_bytes(32), 30) == 3
    assert await _sends(client, number, secrets.token_bytes(32), 30) == 0
    assert await _sends(client, number, secrets.token_bytes(32), 2, Purpose.RESET) == 2


async def test_strangers_do_not_use_up_the_codes_of_a_known_device(client: Redis):
    number, prefix = secrets.token_bytes(32), secrets.token_bytes(32)
    assert await _sends(client, number, prefix, 4) == 3
    await Sends(client, _settings()).admit(replace(_to(number, prefix), device_id=DEVICE))


async def test_codes_to_a_range_of_numbers_stop_no_known_device_and_no_other_purpose(
    client: Redis,
):
    """An attacker asks for resets until the limit; customers with these numbers still log in."""
    prefix, random = secrets.token_bytes(32), secrets.token_bytes
    resets = [await _sends(client, random(32), prefix, 3, Purpose.RESET) for _ in range(2)]
    assert resets == [3, 2]
    assert await _sends(client, random(32), prefix, 1) == 1
    known = [replace(_to(random(32), prefix), device_id=DEVICE) for _ in range(11)]
    assert [await _sends_to(client, each, 1) for each in known] == [1] * 10 + [0]


async def test_a_stolen_access_token_uses_up_no_codes_of_the_next_session(client: Redis):
    number, prefix = secrets.token_bytes(32), secrets.token_bytes(32)
    stolen = Recipient(number, prefix, Purpose.STEP_UP, DEVICE, uuid.UUID(int=7))
    assert await _sends_to(client, stolen, 5) == 3
    assert await _sends_to(client, replace(stolen, session_id=uuid.UUID(int=8)), 1) == 1


@pytest.mark.parametrize("purpose", [Purpose.LOGIN, Purpose.RESET])
async def test_a_stolen_device_token_uses_up_no_codes_of_another_device(
    client: Redis, purpose: Purpose
):
    """All devices of a customer together have a larger limit, because the bank pays."""
    stolen = Recipient(secrets.token_bytes(32), secrets.token_bytes(32), purpose, DEVICE)
    others = [replace(stolen, device_id=uuid.UUID(int=n)) for n in (2, 3)]
    assert [await _sends_to(client, to, 5) for to in (stolen, *others)] == [3, 3, 0]
    assert await _sends_to(client, replace(stolen, device_id=None), 5) == 3


async def test_new_sessions_give_a_number_no_more_than_its_step_ups_of_a_day(client: Redis):
    """Each login gives a session, and each session had ten codes of its own."""
    number = secrets.token_bytes(32)
    sent = [
        await _sends_to(
            client,
            Recipient(number, secrets.token_bytes(32), Purpose.STEP_UP, DEVICE, uuid.uuid4()),
            5,
        )
        for _ in range(4)
    ]
    assert sent == [3, 3, 0, 0]
    other = Recipient(secrets.token_bytes(32), b"p", Purpose.STEP_UP, DEVICE, uuid.uuid4())
    assert await _sends_to(client, other, 1) == 1


async def test_resets_of_strangers_have_a_limit_for_all_numbers_together(
    client: Redis, valkey: ValkeyStore
):
    """The bank pays for each message. Auth logs an error before the limit is reached."""
    operator = valkey.client(OPERATOR)
    await operator.delete(RESETS_KEY)
    await operator.aclose()
    sends, random = Sends(client, _settings(resets=10)), secrets.token_bytes
    resets = [_to(random(32), random(32), Purpose.RESET) for _ in range(11)]
    with capture_logs() as logs:
        for each in resets[:10]:
            await sends.admit(each)
    assert [(line["event"], line["sent"], line["log_level"]) for line in logs] == [
        ("sends.many_resets", 7, "error")
    ]
    with pytest.raises(OtpSendsExhausted):
        await sends.admit(resets[10])
    await sends.admit(replace(resets[10], device_id=DEVICE))
    await sends.admit(replace(resets[10], purpose=Purpose.LOGIN))
    await sends.give_back(resets[0])
    await sends.admit(resets[10])


async def test_a_code_that_was_not_sent_is_given_back(client: Redis):
    to = replace(_to(secrets.token_bytes(32), secrets.token_bytes(32)), device_id=DEVICE)
    for _ in range(20):
        await Sends(client, _settings()).admit(to)
        await Sends(client, _settings()).give_back(to)
    assert await _sends_to(client, to, 5) == 3


async def test_codes_to_numbers_with_one_prefix_are_limited(client: Redis):
    prefix = secrets.token_bytes(32)
    sent = [await _sends(client, secrets.token_bytes(32), prefix, 2) for _ in range(4)]
    assert sent == [2, 2, 1, 0]


async def test_a_refused_code_counts_nowhere_and_each_counter_ends(client: Redis):
    number, prefix = secrets.token_bytes(32), secrets.token_bytes(32)
    await _sends(client, number, prefix, 50)
    assert await _sends(client, secrets.token_bytes(32), prefix, 3) == 2
    names = (number_key(_to(number, prefix)), prefix_key(_to(number, prefix)))
    assert all([0 < await client.pttl(name) <= 86_400_000 for name in names])
