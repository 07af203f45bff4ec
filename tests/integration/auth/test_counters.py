"""The counters of tries on a real Valkey."""

import asyncio
import secrets
import time
import uuid
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import cast

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from ops.provision.valkey import OPERATOR
from services.auth.counters import Tries
from services.auth.errors import TriesExhausted
from services.auth.state import Factor
from services.auth.throttle import (
    FORGET_S,
    RULES,
    Lock,
    Rule,
    Scope,
    Subject,
    WrongTry,
    counters_of,
)
from tests.rigs.stores import ValkeyStore

HOUR_MS = 3_600_000
TRIES_A_DAY = 24 * 20
DEVICE = uuid.UUID(int=1)
STRANGER = Subject(b"a" * 32, None, "192.0.2.1")
OWNER = Subject(b"a" * 32, DEVICE, "192.0.2.1")
BYTES_PER_COUNTER_MAX = 200


@pytest_asyncio.fixture
async def client(valkey: ValkeyStore) -> AsyncGenerator[Redis]:
    """Auth's own login."""
    made = valkey.client("auth")
    yield made
    await made.aclose()


@pytest.fixture
def key() -> bytes:
    """A key for the digests, so that each test has counters of its own."""
    return secrets.token_bytes(32)


@pytest.fixture
def tries(client: Redis, key: bytes) -> Tries:
    return Tries(client, key)


@pytest.fixture
def lasting(client: Redis, key: bytes) -> Tries:
    """Tries whose first lock lasts longer than a test. None leaks away."""
    rules = {s: replace(r, lock_first_ms=HOUR_MS, leak_ms=0) for s, r in RULES.items()}
    return Tries(client, key, rules)


async def _end_locks(
    client: Redis, key: bytes, subject: Subject, factor: Factor = Factor.PASSWORD
) -> None:
    """Change the stored ends of a subject's locks, as if their time had passed."""
    for counter in counters_of(key, subject, factor):
        if text := cast("bytes | None", await client.get(counter.key)):
            count, _, *rest = text.decode().split()
            await client.set(counter.key, " ".join((count, "0", *rest)), keepttl=True)


async def _pass_time(client: Redis, key: bytes, subject: Subject, ms: int) -> None:
    """Change the times in a subject's stored counters, as if `ms` had passed."""
    for counter in counters_of(key, subject, Factor.PASSWORD):
        if text := cast("bytes | None", await client.get(counter.key)):
            count, lock_end, refused, unreported, leak_from = text.decode().split()
            times = max(int(lock_end) - ms, 0), int(leak_from) - ms
            changed = f"{count} {times[0]} {refused} {unreported} {times[1]}"
            await client.set(counter.key, changed, keepttl=True)


async def _is_admitted(tries: Tries, subject: Subject, factor: Factor = Factor.PASSWORD) -> bool:
    try:
        await tries.admit(subject, factor)
    except TriesExhausted:
        return False
    return True


async def _wrong(tries: Tries, subject: Subject, factor: Factor = Factor.PASSWORD) -> WrongTry:
    await tries.admit(subject, factor)
    return await tries.wrong(subject, factor)


@pytest.mark.parametrize(("subject", "free"), [(STRANGER, 5), (OWNER, 10)])
async def test_50_connections_cannot_try_more_often_than_one(
    valkey: ValkeyStore, key: bytes, subject: Subject, free: int
):
    """Each connection is a new session, from an address of its own."""
    clients = [valkey.client("auth") for _ in range(50)]
    subjects = [replace(subject, address=f"192.0.2.{i}") for i in range(50)]
    try:
        await asyncio.gather(*(client.ping() for client in clients))
        passed = await asyncio.gather(
            *(
                _is_admitted(Tries(client, key), each, Factor.SMS_CODE)
                for client, each in zip(clients, subjects, strict=True)
            )
        )
    finally:
        for client in clients:
            await client.aclose()
    assert passed.count(True) == free


async def test_delays_double_up_to_the_longest_and_each_is_reported_once(
    tries: Tries, client: Redis, key: bytes
):
    found = [(await _wrong(tries, STRANGER)).lock for _ in range(5)]
    for _ in range(7):
        assert (await tries.wrong(STRANGER, Factor.PASSWORD)).lock is None
        await _end_locks(client, key, STRANGER)
        found.append((await _wrong(tries, STRANGER)).lock)
    delays = [30, 60, 120, 240, 480, 900, 900, 900]
    assert found == [None] * 4 + [Lock(Scope.STRANGERS, delay) for delay in delays]


async def test_a_refused_caller_learns_when_to_retry(tries: Tries):
    for _ in range(5):
        await _wrong(tries, STRANGER)
    with pytest.raises(TriesExhausted) as refused:
        await tries.admit(STRANGER, Factor.PASSWORD)
    assert refused.value.retry_after_s is not None
    assert 0 < refused.value.retry_after_s <= 30


async def test_wrong_tries_count_refused_ones_since_the_last_report(
    lasting: Tries, client: Redis, key: bytes
):
    for _ in range(5):
        await _wrong(lasting, STRANGER)
    assert [await _is_admitted(lasting, STRANGER) for _ in range(7)] == [False] * 7
    await _end_locks(client, key, STRANGER)
    assert (await _wrong(lasting, STRANGER)).refused_before == 7
    await _end_locks(client, key, STRANGER)
    assert (await _wrong(lasting, STRANGER)).refused_before == 0


async def test_a_try_that_two_locks_refuse_is_counted_once(client: Redis, key: bytes):
    limits = Rule(2, HOUR_MS, HOUR_MS)
    tries = Tries(client, key, {Scope.STRANGERS: limits, Scope.ADDRESS: limits})
    locks = [(await _wrong(tries, STRANGER)).lock for _ in range(2)]
    assert not await _is_admitted(tries, STRANGER)
    second = await tries.wrong(STRANGER, Factor.PASSWORD)
    assert [*locks, second.lock] == [None, Lock(Scope.STRANGERS, 3600), Lock(Scope.ADDRESS, 3600)]
    assert second.refused_before == 1


async def test_a_right_try_gives_all_free_tries_of_its_factor_back(lasting: Tries):
    for _ in range(4):
        await _wrong(lasting, STRANGER)
        await _wrong(lasting, STRANGER, Factor.SMS_CODE)
    await lasting.admit(STRANGER, Factor.PASSWORD)
    await lasting.right(STRANGER, Factor.PASSWORD)
    assert [await _is_admitted(lasting, STRANGER) for _ in range(6)] == [True] * 5 + [False]
    codes = [await _is_admitted(lasting, STRANGER, Factor.SMS_CODE) for _ in range(2)]
    assert codes == [True, False]


async def test_an_owner_with_a_known_device_logs_in_during_1000_wrong_tries(lasting: Tries):
    """100 addresses try one account; one of them is the owner's own."""
    compared = 0
    for i in range(1_000):
        stranger = replace(STRANGER, address=f"192.0.2.{i % 100}")
        if await _is_admitted(lasting, stranger):
            compared += 1
            await lasting.wrong(stranger, Factor.PASSWORD)
        if i % 10 == 0:
            await lasting.admit(OWNER, Factor.PASSWORD)
            await lasting.right(OWNER, Factor.PASSWORD)
    assert compared == RULES[Scope.STRANGERS].free


async def test_the_owners_right_login_gives_strangers_no_new_tries(lasting: Tries):
    for _ in range(5):
        await _wrong(lasting, STRANGER)
    await lasting.admit(OWNER, Factor.PASSWORD)
    await lasting.right(OWNER, Factor.PASSWORD)
    assert not await _is_admitted(lasting, STRANGER)


async def test_an_address_that_tries_many_accounts_is_locked_alone(lasting: Tries):
    def subject(number: int, address: str) -> Subject:
        return Subject(number.to_bytes(32, "big"), None, address)

    locks = [(await _wrong(lasting, subject(i, "198.51.100.1"))).lock for i in range(100)]
    assert locks == [None] * 99 + [Lock(Scope.ADDRESS, 900)]
    assert not await _is_admitted(lasting, subject(100, "198.51.100.1"))
    assert await _is_admitted(lasting, subject(100, "198.51.100.2"))
    assert await _is_admitted(lasting, replace(OWNER, address="198.51.100.1"))


async def test_right_tries_of_an_office_do_not_lock_its_address(lasting: Tries):
    for i in range(250):
        employee = Subject(i.to_bytes(32, "big"), None, "198.51.100.3")
        await lasting.admit(employee, Factor.PASSWORD)
        await lasting.right(employee, Factor.PASSWORD)
    assert await _is_admitted(lasting, Subject(b"n" * 32, None, "198.51.100.3"))


async def test_a_right_login_to_an_own_account_does_not_clear_an_address(
    lasting: Tries, client: Redis, key: bytes
):
    thief = Subject(b"t" * 32, None, "198.51.100.4")
    for i in range(100):
        await _wrong(lasting, replace(thief, account=i.to_bytes(32, "big")))
    await _end_locks(client, key, thief)
    await lasting.admit(thief, Factor.PASSWORD)
    await lasting.right(thief, Factor.PASSWORD)
    victims = [replace(thief, account=bytes([n]) * 32) for n in (1, 2)]
    assert [await _is_admitted(lasting, victim) for victim in victims] == [True, False]


async def test_a_try_that_is_given_back_does_not_count(tries: Tries, client: Redis, key: bytes):
    """An outage may interrupt any number of tries; a lock that the last of them began ends."""
    found: list[Lock | None] = []
    for _ in range(7):
        for _ in range(2):
            await tries.admit(STRANGER, Factor.PASSWORD)
            await tries.undo(STRANGER, Factor.PASSWORD)
        found.append((await _wrong(tries, STRANGER)).lock)
        await _end_locks(client, key, STRANGER)
    assert found == [None] * 4 + [Lock(Scope.STRANGERS, delay_s) for delay_s in (30, 60, 120)]


async def test_a_shared_address_with_a_usual_rate_of_typos_is_never_locked(
    tries: Tries, client: Redis, key: bytes
):
    """One typo in ten minutes, for four days: 576 typos, each of another customer."""
    shared = Subject(b"", None, "198.51.100.5")
    for i in range(576):
        customer = replace(shared, account=i.to_bytes(32, "big"))
        assert (await _wrong(tries, customer)).lock is None
        await _pass_time(client, key, replace(customer, account=b"no account"), 600_000)


async def test_an_address_that_never_stops_gets_about_300_tries_a_day(
    tries: Tries, client: Redis, key: bytes
):
    """It tries another account every three minutes, for two days."""
    attacker, admitted = Subject(b"no account", None, "198.51.100.6"), [0, 0]
    for i in range(2 * TRIES_A_DAY):
        each = replace(attacker, account=i.to_bytes(32, "big"))
        admitted[i // TRIES_A_DAY] += await _is_admitted(tries, each)
        await _pass_time(client, key, attacker, 180_000)
    assert 250 <= admitted[1] <= 300
    assert admitted[0] <= 400


async def test_reading_a_counter_often_does_not_slow_its_leak(
    tries: Tries, client: Redis, key: bytes
):
    address = Subject(b"a" * 32, None, "198.51.100.7")
    other = replace(address, account=b"o" * 32)
    for _ in range(4):
        await _wrong(tries, address)
    for _ in range(10):
        await _pass_time(client, key, other, 60_000)
        await tries.admit(other, Factor.PASSWORD)
        await tries.undo(other, Factor.PASSWORD)
    stored = await client.get(counters_of(key, address, Factor.PASSWORD)[1].key)
    assert stored is not None
    assert stored.split()[0] == b"2"


async def test_a_counter_of_the_version_before_is_read(tries: Tries, client: Redis, key: bytes):
    """It has no time of its leak; during an update, both versions run."""
    address = Subject(b"a" * 32, None, "198.51.100.8")
    name = counters_of(key, address, Factor.PASSWORD)[1].key
    await client.set(name, "99 0 0 0")
    await tries.admit(address, Factor.PASSWORD)
    assert not await _is_admitted(tries, replace(address, account=b"b" * 32))


async def test_a_caller_that_hangs_up_is_counted_for_its_address_only(tries: Tries):
    """Otherwise an address that hangs up fills the queue of passwords with no limit."""
    caller = replace(STRANGER, address="198.51.100.9")
    for _ in range(RULES[Scope.ADDRESS].free):
        await tries.admit(caller, Factor.PASSWORD)
        await tries.hang_up(caller, Factor.PASSWORD)
    assert not await _is_admitted(tries, caller)
    assert await _is_admitted(tries, replace(caller, address="198.51.100.10"))


async def test_a_known_device_that_hangs_up_has_used_its_try(lasting: Tries):
    """A phone that loses its connection some times still logs in."""
    for _ in range(RULES[Scope.DEVICE].free - 1):
        await lasting.admit(OWNER, Factor.PASSWORD)
        await lasting.hang_up(OWNER, Factor.PASSWORD)
    assert [await _is_admitted(lasting, OWNER) for _ in range(2)] == [True, False]


async def test_a_stolen_access_token_locks_its_session_and_no_login(lasting: Tries):
    """The owner logs in again, and the new session has tries."""
    stolen = replace(OWNER, session_id=uuid.UUID(int=7))
    locks = [(await _wrong(lasting, stolen)).lock for _ in range(10)]
    assert locks == [None] * 9 + [Lock(Scope.SESSION, 3600)]
    assert not await _is_admitted(lasting, stolen)
    assert await _is_admitted(lasting, OWNER)
    assert await _is_admitted(lasting, replace(OWNER, session_id=uuid.UUID(int=8)))


async def test_unlock_forgets_an_account_and_its_devices(lasting: Tries):
    for subject, free in ((STRANGER, 5), (OWNER, 10)):
        for _ in range(free):
            await _wrong(lasting, subject)
        assert not await _is_admitted(lasting, subject)
    assert await lasting.unlock(STRANGER.account, [DEVICE]) == 2
    assert await lasting.unlock(STRANGER.account, [DEVICE]) == 0
    assert await _is_admitted(lasting, STRANGER)
    assert await _is_admitted(lasting, OWNER)


async def test_the_clocks_of_processes_do_not_matter(
    tries: Tries, client: Redis, key: bytes, monkeypatch: pytest.MonkeyPatch
):
    """A process whose clock is two minutes late sets the lock; one that is early waits as long."""
    real = time.time
    with monkeypatch.context() as late:
        late.setattr(time, "time", lambda: real() - 120)
        for _ in range(5):
            await _wrong(tries, STRANGER)
    with monkeypatch.context() as early:
        early.setattr(time, "time", lambda: real() + 120)
        stored = await client.get(counters_of(key, STRANGER, Factor.PASSWORD)[0].key)
        assert stored is not None
        seconds, _ = await client.time()
        assert 0 < int(stored.split()[1]) - (seconds - 60) * 1000 <= 91_000


async def test_a_clock_that_was_set_back_makes_no_lock_longer_than_its_rule(
    tries: Tries, client: Redis, key: bytes
):
    await _wrong(tries, STRANGER)
    name = counters_of(key, STRANGER, Factor.PASSWORD)[0].key
    seconds, _ = await client.time()
    await client.set(name, f"5 {(seconds + 86_400) * 1000} 0 0", keepttl=True)
    with pytest.raises(TriesExhausted) as refused:
        await tries.admit(STRANGER, Factor.PASSWORD)
    assert refused.value.retry_after_s == 900


async def test_each_counter_is_forgotten_a_day_after_its_last_admitted_try(
    lasting: Tries, client: Redis, key: bytes
):
    for _ in range(5):
        await _wrong(lasting, STRANGER)
    names = [each.key for each in counters_of(key, STRANGER, Factor.PASSWORD)]
    for name in names:
        assert 0 < await client.pttl(name) <= FORGET_S * 1000
        await client.pexpire(name, 50_000)
    assert not await _is_admitted(lasting, STRANGER)
    await lasting.wrong(STRANGER, Factor.PASSWORD)
    assert all([await client.pttl(name) <= 50_000 for name in names])
    await _end_locks(client, key, STRANGER)
    assert await _is_admitted(lasting, STRANGER)
    assert all([await client.pttl(name) > 50_000 for name in names])


async def test_scripts_work_after_the_server_lost_them(tries: Tries, valkey: ValkeyStore):
    await _wrong(tries, STRANGER)
    operator = valkey.client(OPERATOR)
    await operator.script_flush()
    await operator.aclose()
    assert await _is_admitted(tries, STRANGER)


async def test_memory_for_each_tried_account_is_bounded(valkey: ValkeyStore, tries: Tries):
    """A million tried accounts need less than 200 MB."""
    operator = valkey.client(OPERATOR)
    count = 5_000

    async def used() -> int:
        return int((await operator.info("memory"))["used_memory_dataset"])

    try:
        before = await used()
        for start in range(0, count, 20):
            await asyncio.gather(
                *(
                    tries.admit(Subject(n.to_bytes(32, "big"), None, ""), Factor.PASSWORD)
                    for n in range(start, start + 20)
                )
            )
        assert (await used() - before) / count < BYTES_PER_COUNTER_MAX
    finally:
        await operator.aclose()
