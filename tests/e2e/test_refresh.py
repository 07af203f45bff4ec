"""Refresh tokens: replaced at each use, repeated for a lost answer, worthless to a thief."""

import asyncio
import secrets

import pytest

from sandbox.app import App
from tests.rigs.logins import (
    READS,
    claims,
    end_grace,
    ends,
    pushed,
    require_done,
    require_refused,
    second_phone,
)
from tests.rigs.running_bank import Bank, Customer

pytestmark = pytest.mark.judged_with_its_module


async def test_a_refresh_replaces_both_tokens_and_stays_in_the_session(logged_in: App) -> None:
    before = claims(logged_in.phone.access_token)
    first = logged_in.phone.refresh_token
    done = require_done(await logged_in.refresh())
    assert (done.body["tokenType"], done.body["expiresIn"]) == ("Bearer", 600)
    assert logged_in.phone.refresh_token != first
    after = claims(logged_in.phone.access_token)
    assert [after[name] for name in ("sub", "sid", "device", "amr", "auth_time")] == [
        before[name] for name in ("sub", "sid", "device", "amr", "auth_time")
    ]
    assert after["jti"] != before["jti"]
    require_done(await logged_in.refresh())
    assert (await logged_in.get("/v1/accounts")).status == 200


async def test_a_lost_answer_is_repeated(logged_in: App) -> None:
    old = logged_in.phone.refresh_token
    first = require_done(await logged_in.refresh())
    again = require_done(await logged_in.refresh(old))
    assert again.body == first.body


async def test_parallel_refreshes_of_one_telephone_get_the_same_tokens(logged_in: App) -> None:
    old = logged_in.phone.refresh_token
    answers = await asyncio.gather(*(logged_in.refresh(old) for _ in range(5)))
    assert [answer.status for answer in answers] == [200] * 5
    assert len({answer.body["refreshToken"] for answer in answers}) == 1


async def test_a_token_that_is_used_again_later_ends_the_session_and_the_owner_is_notified(
    bank: Bank, ana: Customer, logged_in: App
) -> None:
    old = logged_in.phone.refresh_token
    require_done(await logged_in.refresh())
    await end_grace(bank, old)
    require_refused(await logged_in.refresh(old), 401, "REFRESH_TOKEN_REUSED")
    for path in READS.values():
        require_refused(await ends(logged_in, path), 401, "UNAUTHENTICATED")
    require_refused(await logged_in.refresh(), 401, "REFRESH_TOKEN_INVALID")
    message = await pushed(bank, ana, "TOKEN_REUSED")
    assert "Ana's phone" in message["notification"]["body"]
    require_done(await logged_in.log_in())


async def test_a_refresh_token_counts_only_with_its_own_device(
    bank: Bank, ana: Customer, logged_in: App
) -> None:
    """A thief without the device token gets nothing, and cannot end the owner's session."""
    tablet = await second_phone(bank, ana)
    for device_token in (tablet.phone.device_token, secrets.token_urlsafe(32), "x"):
        body = {"refreshToken": logged_in.phone.refresh_token, "deviceToken": device_token}
        require_refused(await logged_in.post("refresh", body), 401, "REFRESH_TOKEN_INVALID")
    require_done(await logged_in.refresh())


async def test_two_telephones_that_hold_one_token_get_one_successor(logged_in: App) -> None:
    """A copied telephone and the owner race: both get the same tokens, so one later reuse shows."""
    copy = App(logged_in.bank, logged_in.identity, logged_in.face)
    copy.phone.keep("", logged_in.phone.refresh_token, logged_in.phone.device_token)
    mine, theirs = await asyncio.gather(logged_in.refresh(), copy.refresh())
    assert require_done(mine).body == require_done(theirs).body


GARBAGE = ("x", "a.b.c", "' OR 1=1 --", "\u202e", "0" * 512, "refresh:*")


async def test_garbage_is_an_invalid_refresh_token_and_an_empty_token_a_bad_request(
    logged_in: App,
) -> None:
    for token in (*GARBAGE, logged_in.phone.access_token[:512]):
        require_refused(await logged_in.refresh(token), 401, "REFRESH_TOKEN_INVALID")
    phone = logged_in.phone
    body = {"refreshToken": phone.refresh_token, "deviceToken": phone.device_token}
    for name in body:
        answer = await logged_in.post("refresh", body | {name: ""})
        require_refused(answer, 400, "INVALID_ARGUMENT")
    require_done(await logged_in.refresh())
