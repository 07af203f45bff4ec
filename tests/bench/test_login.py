"""The part `login` on the running bank: every figure is measured and no request is refused."""

import pytest

from lab.bench.bench import Bench
from lab.bench.load.callers import telephones
from lab.bench.variants.login import logouts, passwords, refreshes, storm, whole
from tests.rigs.host_speed import waited_out_s

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


async def test_whole_logins_and_refreshes_succeed_also_while_the_key_changes(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refreshes, "AFTER_S", waited_out_s(0.7))
    async with telephones(bench.test_bench, CUSTOMERS, with_faces=True) as apps:
        await whole.measure(bench, apps)
        await refreshes.measure(bench, apps)
        await refreshes.change_keys(bench, apps)
        await logouts.measure(bench, apps)
    figures = bench.found.figures
    assert bench.found.reasons == []
    assert figures["login.new_key.refused"] == 0
    assert figures["login.new_key.requests"] > CUSTOMERS
    assert 0 < figures["login.logout.p50_s"] <= figures["login.logout.p100_s"]
    assert {"login.face.p99_ms", "login.key.p99_ms", "refresh.per_s"} <= figures.keys()


async def test_transfers_continue_during_a_storm_of_logins(bench: Bench) -> None:
    async with telephones(bench.test_bench, CUSTOMERS, with_faces=False) as apps:
        await storm.measure(bench, apps)
    assert bench.found.reasons == []
    assert {"storm.p99_ratio", "storm.logins_per_s"} <= bench.found.figures.keys()
    assert [result.load.name for result in bench.found.results] == ["calm", "storm", "calm.after"]
    assert bench.found.figures["storm.logged_in"] == CUSTOMERS, "a storm lasts until all are in"
    stormy = bench.found.results[1]
    assert stormy.outcome.measured_s < stormy.load.seconds
    assert stormy.outcome.unanswered == 0
