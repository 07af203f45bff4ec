"""The part `login` on the running bank: every figure is measured and no request is refused."""

from lab.bench.bench import Bench
from lab.bench.load.callers import repeat, telephones
from lab.bench.test_bench import TestBench
from lab.bench.variants.login import logouts, passwords, refreshes, storm, whole
from sandbox.app import App
from sandbox.client import Answer, BankClient, LoginIdentity

CUSTOMERS = 12
CUSTOMERS_OF_A_FAST_MACHINE = 60
"""Enough that the codes of a day last for the test: the test's bank uses a low cost of bcrypt."""


async def test_logins_are_measured_next_to_the_machines_limit(bench: Bench) -> None:
    async with telephones(bench.test_bench, CUSTOMERS_OF_A_FAST_MACHINE, with_faces=False) as apps:
        await passwords.measure(bench, apps)
    figures = bench.found.figures
    assert bench.found.reasons == []
    assert figures["login.limit_per_s"] > 0
    assert figures["login.cpu_ms"] > 0
    assert bench.found.details["login"]["login"]["answers"] > 0


async def test_whole_logins_and_refreshes_succeed_also_while_the_key_changes(bench: Bench) -> None:
    async with telephones(bench.test_bench, CUSTOMERS, with_faces=True) as apps:
        await whole.measure(bench, apps)
        await refreshes.measure(bench, apps)
        await refreshes.change_keys(bench, apps)
        await logouts.measure(bench, apps)
    figures = bench.found.figures
    assert bench.found.reasons == []
    assert figures["login.new_key.refused"] == 0
    assert figures["login.new_key.requests"] > CUSTOMERS
    assert figures["login.logout.p100_s"] < logouts.LONGEST_S
    assert {"login.face.p99_ms", "login.key.p99_ms", "refresh.per_s"} <= figures.keys()


async def test_transfers_continue_during_a_storm_of_logins(bench: Bench) -> None:
    async with telephones(bench.test_bench, CUSTOMERS, with_faces=False) as apps:
        await storm.measure(bench, apps)
    assert bench.found.reasons == []
    assert {"storm.p99_ratio", "storm.logins_per_s"} <= bench.found.figures.keys()
    assert [result.load.name for result in bench.found.results] == ["calm", "storm", "calm.after"]


async def test_a_telephone_without_codes_makes_way(test_bench: TestBench) -> None:
    """On a fast machine, refusals of the day's limit made the whole run void."""
    client = BankClient(test_bench.stack)
    app = App(client, LoginIdentity("", "", ""), "ana")
    steps = 0

    async def step(_: App) -> Answer:
        nonlocal steps
        steps += 1
        if steps <= 3:
            return Answer(200, "", {}, {})
        return Answer(429, "", {"details": [{"reason": "OTP_SENDS_EXHAUSTED"}]}, {})

    answers = await repeat([app], step, 1, 0, 60)
    await client.close()
    assert (answers.total, answers.problems("login"), steps) == (3, [], 4)
