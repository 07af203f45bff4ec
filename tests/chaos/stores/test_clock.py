"""If clocks jump or disagree, windows stay exact to the second and all decisions stay the same."""

import asyncio
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from ops.provision.accounts import mint
from ops.provision.bao_client import BaoClient, BaoError
from ops.provision.roster import mesh_identities
from ops.waiting import until
from sandbox.partners.ach.clock import ZONE
from sandbox.stack.home import REPO
from sandbox.stack.supervisor import launch
from sandbox.stack.supervisor.probes import GrpcHealthProbe
from tests.rigs.running_bank import Bank, Customer

SKEW_S = 120
MARGIN = timedelta(seconds=5)
"""The longest allowed time between a reading of the test and the window's opening, on each side."""
ROUNDED = timedelta(seconds=1)
SUBMIT = "POST /ach/transfer"
LONG_LEASE = """
UPDATE payments.interbank_transfer SET lease_until = now() + interval '1 day'
WHERE transfer_id = $1 AND state = 'DEBITED' RETURNING transfer_id
"""
Skewed = subprocess.Popen[bytes]


def _next_leap(now: datetime) -> datetime:
    """Return midnight in New York of the next day that is not 24 hours long."""
    day = datetime(now.year, now.month, now.day, tzinfo=ZONE) + timedelta(days=4)
    while day.utcoffset() == (day + timedelta(days=1)).utcoffset():
        day += timedelta(days=1)
    return day


async def _business_now(bank: Bank) -> datetime:
    return datetime.fromisoformat((await bank.control("ach", "GET", "/control/clock")).body["now"])


async def _advance_to(bank: Bank, instant: datetime) -> None:
    """Advance the clearing house's clock to an instant, and wait for its notices."""
    # In UTC: Python subtracts two times of one zone as local times, without the clock change.
    left = (instant.astimezone(UTC) - (await _business_now(bank)).astimezone(UTC)).total_seconds()
    # On a slow host the clock may already have passed the instant.
    body = {"seconds": max(left, 0), "drain_timeout_ms": 60_000}
    answer = await bank.control("ach", "POST", "/control/clock/advance", body)
    assert answer.status == 200, answer.text


async def _settles_on_time_over(bank: Bank, leap: datetime) -> bool:
    """Pay on the Friday before a clock change, and require that the transfer settles on time.

    The clearing house's clock keeps running, so it is read after each reading of the transfer.
    Return whether both readings were within MARGIN of the opening. If not, the host was too slow,
    and the caller tries a later clock change.
    """
    friday = leap - timedelta(days=2)
    await _advance_to(bank, friday.replace(hour=21))
    ana = await bank.customer()
    paid = (await bank.pay(ana, 10_00)).body["transferId"]
    assert (await bank.at_ach(paid))["processingDate"] == friday.date().isoformat()
    await bank.in_state(ana, paid, "SUBMITTED")
    opening = (leap + timedelta(days=2)).replace(hour=8, minute=30)
    await _advance_to(bank, opening - MARGIN)
    state = (await bank.transfer(ana, paid))["state"]
    looked_before = await _business_now(bank) < opening
    assert state == "SUBMITTED" or not looked_before, "it settled too early"
    await _advance_to(bank, opening)
    assert (await bank.at_ach(paid))["state"] == "SETTLED"
    looked_soon = await _business_now(bank) <= opening + MARGIN
    await bank.in_state(ana, paid, "COMPLETED")
    return looked_before and looked_soon


def _change(leap: datetime) -> timedelta:
    """Return by how much the clocks of New York change."""
    after, before = (leap + timedelta(days=1)).utcoffset(), leap.utcoffset()
    assert after is not None
    assert before is not None
    return after - before


async def test_windows_are_exact_across_both_clock_changes_of_new_york(
    bank: Bank,
) -> None:
    changes: set[timedelta] = set()

    async def kept_over_both() -> bool:
        leap = _next_leap(await _business_now(bank))
        if await _settles_on_time_over(bank, leap):
            changes.add(_change(leap))
        return len(changes) == 2

    await until(kept_over_both, 60, f"the test looked within {MARGIN} of two openings")
    assert changes == {timedelta(hours=1), timedelta(hours=-1)}


def _start_skewed(bank: Bank, service: str, seconds: int, environment: dict[str, str]) -> Skewed:
    module, log = "tests.chaos.stores.skewed", bank.stack.home.logs / f"{service}-skewed.log"
    command = [sys.executable, "-m", module, str(seconds), f"services.{service}"]
    with log.open("ab") as output:
        return subprocess.Popen(
            launch.in_its_place(command, None, signal.SIGKILL),
            cwd=REPO,
            env=environment,
            stdout=output,
            stderr=output,
        )


@asynccontextmanager
async def with_skew(bank: Bank, service: str, seconds: int) -> AsyncGenerator[Skewed]:
    """Replace the process of a service by one with a wrong clock."""
    own = Path(f"/proc/{bank.stack.pid(service)}/environ").read_bytes().decode().split("\0")
    environment = dict(one.split("=", 1) for one in own if "=" in one)
    await asyncio.to_thread(bank.stack.stop, service)
    process = _start_skewed(bank, service, seconds, environment)
    try:
        probe = GrpcHealthProbe(environment["BP_SOCKET_IN"])
        await until(probe.check, 30, f"{service} with a wrong clock serves")
        yield process
    finally:
        process.kill()
        process.wait()
        await asyncio.to_thread(bank.stack.start, service)


async def _paged(bank: Bank, customer: Customer) -> list[str]:
    """Return the complete list, read in pages of two."""
    found: list[str] = []
    token = ""
    while True:
        query = f"accountId={customer.account_id}&pageSize=2&pageToken={token}"
        page = (await bank.call("GET", f"/v1/transfers/interbank?{query}", customer.token)).body
        found += [one["transferId"] for one in page.get("transfers", [])]
        token = page.get("nextPageToken", "")
        if not token:
            return found


def _require_wrong(shown: str, seconds: int, begun: datetime) -> None:
    """Require that a time written since `begun` comes from a clock that is wrong by `seconds`."""
    right = datetime.fromisoformat(shown) - timedelta(seconds=seconds)
    assert begun - ROUNDED <= right <= datetime.now(UTC) + ROUNDED, (
        "the process must use the wrong clock"
    )


@pytest.mark.parametrize("seconds", [SKEW_S, -SKEW_S])
async def test_payments_two_minutes_off_decides_as_it_should(bank: Bank, seconds: int) -> None:
    ana = await bank.customer()
    paid = [(await bank.pay(ana, 10_00)).body["transferId"] for _ in range(2)]
    async with (
        asyncio.TaskGroup() as calls,
        with_skew(bank, "payments", seconds) as process,
    ):
        key, begun = str(uuid.uuid4()), datetime.now(UTC)
        first = await bank.pay(ana, 10_00, key=key)
        again = await bank.pay(ana, 10_00, key=key)
        assert first.status == 200
        assert again.text == first.text
        _require_wrong(first.body["createTime"], seconds, begun)
        await bank.in_state(ana, first.body["transferId"], "SUBMITTED")
        paid += [first.body["transferId"], (await bank.pay(ana, 10_00)).body["transferId"]]
        assert sorted(await _paged(bank, ana)) == sorted(paid)
        # The clearing house signs its notices by its own clock.
        await bank.two_banking_days()
        for one in paid:
            await bank.in_state(ana, one, "COMPLETED")
        await bank.fault("ach", kind="hang", endpoint=SUBMIT)
        calls.create_task(bank.pay(ana, 10_00))
        left = await _debited(bank, ana)
        process.kill()
        await asyncio.to_thread(process.wait)
        # A lease as if its clock were wrong by much more: it ends long after this test.
        assert len(await bank.rows("bp_write", LONG_LEASE, uuid.UUID(left))) == 1
    # A lease from a wrong clock delays nothing: the next process of its slot ends it.
    await bank.clear_faults("ach")
    await bank.in_state(ana, left, "SUBMITTED", timeout_s=30)
    assert await bank.posted(ana) == 5_000_00 - 5 * 10_00


APART = {
    "transfers": SKEW_S,
    "customers": -SKEW_S,
    "notifications": SKEW_S,
    "audit": -SKEW_S,
    "relay": SKEW_S,
    "router": -SKEW_S,
}
"""Clock errors in seconds. Payments keeps the correct time; another test gives it a wrong clock."""


async def test_services_whose_clocks_differ_by_minutes_agree_on_every_transfer(bank: Bank) -> None:
    ana, luis = await bank.customer(), await bank.customer()
    async with AsyncExitStack() as clocks:
        skews = [with_skew(bank, service, seconds) for service, seconds in APART.items()]
        await asyncio.gather(*(clocks.enter_async_context(one) for one in skews))
        begun = datetime.now(UTC)
        booked = await bank.book(ana, luis, 7_00)
        _require_wrong(booked.body["createTime"], APART["transfers"], begun)
        paid = (await bank.pay(ana, 10_00)).body["transferId"]
        await bank.in_state(ana, paid, "SUBMITTED")
        await bank.two_banking_days()
        await bank.in_state(ana, paid, "COMPLETED")
        # The read model, the notifications of both sides and the audit log are complete.
        await _shows(bank, ana, 5_000_00 - 17_00)
        await _shows(bank, luis, 5_000_00 + 7_00)
        await bank.pushed(ana, 2)
        await _recorded(bank, {paid: 3, booked.body["transferId"]: 1})
        # An interrupted push waits for its lease, which a fast clock makes two minutes longer.
        await until(lambda: _all_sent(bank), 30, "no push is pending")


async def _all_sent(bank: Bank) -> bool:
    sql = "SELECT FROM notif.delivery WHERE state = 'PENDING'"
    return not await bank.rows("bp_notifications", sql)


async def _shows(bank: Bank, customer: Customer, minor_units: int) -> None:
    path = f"/v1/balances/{customer.account_id}"

    async def there() -> bool:
        balance = (await bank.call("GET", path, customer.token)).body
        return balance["available"]["minorUnits"] == str(minor_units)

    await until(there, 30, f"a balance of {minor_units}")


async def _recorded(bank: Bank, wanted: dict[str, int]) -> None:
    sql = "SELECT subject, count(*) AS n FROM audit.record WHERE subject = ANY($1) GROUP BY 1"

    async def there() -> bool:
        rows = await bank.rows("bp_audit", sql, list(wanted))
        return {row["subject"]: row["n"] for row in rows} == wanted

    await until(there, 30, "every event is recorded")


async def _debited(bank: Bank, customer: Customer) -> str:
    path = f"/v1/transfers/interbank?accountId={customer.account_id}&state=DEBITED"

    async def one() -> str:
        found = (await bank.call("GET", path, customer.token)).body.get("transfers") or [{}]
        return found[0].get("transferId", "")

    return await until(one, 20, "a transfer is debited")


async def test_a_new_certificate_is_valid_for_a_clock_two_minutes_behind(
    bank: Bank,
) -> None:
    begun = datetime.now(UTC)
    await asyncio.to_thread(bank.stack.renew_certificates)
    for name in (*mesh_identities(), "edge"):
        for file in ("cert.pem", "ca.pem"):
            pem = (bank.stack.home.certs / name / file).read_bytes()
            begins = x509.load_pem_x509_certificate(pem).not_valid_before_utc
            assert begins <= begun - timedelta(seconds=SKEW_S), (name, file)


@pytest.mark.parametrize("seconds", [SKEW_S, -SKEW_S])
async def test_a_service_account_token_of_a_clock_two_minutes_off_is_taken(
    bank: Bank, seconds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + seconds)
    token = mint(bank.stack.credentials.service_account_issuer_key, "payments")
    monkeypatch.setattr(time, "time", lambda: real() + 3600)
    too_far = mint(bank.stack.credentials.service_account_issuer_key, "payments")
    monkeypatch.undo()
    async with BaoClient(bank.where["BP_OPENBAO_ADDR"]) as bao:
        assert await bao.login("payments", token)
        with pytest.raises(BaoError):
            await bao.login("payments", too_far)


async def test_a_customers_token_of_a_provider_two_minutes_ahead_is_taken(bank: Bank) -> None:
    ana = await bank.customer()
    ahead = await bank.token(ana.customer_id, claims={"iat": int(time.time()) + SKEW_S})
    answer = await bank.call("GET", f"/v1/balances/{ana.account_id}", ahead)
    assert answer.status == 200, answer.text
