"""Runs on the real stack: completeness in every store, cost by part, baseline, report."""

import json
import time
import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from lab.bench.bench import Bench, Findings
from lab.bench.load import orders
from lab.bench.load.generator import Outcome
from lab.bench.load.orders import Payer
from lab.bench.meters.completeness import differences
from lab.bench.report import bench_json
from lab.bench.report.show import show
from lab.bench.report.verdict import judged
from lab.bench.runs import Load, Result, refusals, run
from lab.bench.test_bench import TestBench
from lab.bench.variants.baseline import baseline_in_place
from tests.bench.conftest import CUSTOMERS, short_s

ARRIVALS = 60


def load_of(name: str) -> Load:
    """Return a short run on a few connections."""
    return Load(name, connections=4, warm_up_s=short_s() / 2, seconds=2 * short_s())


@pytest.fixture(scope="module")
async def interbank(test_bench: TestBench, callers: list[Payer]) -> Result:
    return await run(test_bench, load_of("interbank.c64"), orders.interbank(test_bench, callers))


async def test_every_transfer_of_a_run_is_in_every_store(interbank: Result) -> None:
    assert interbank.void == []
    assert interbank.outcome.accepted > CUSTOMERS
    assert interbank.drained is not None
    assert interbank.drained.lag_p99_ms > 0


async def test_the_cost_of_a_run_is_reported_by_part_of_the_bank(interbank: Result) -> None:
    spent = interbank.spent
    assert {"payments", "postgres", "kafka", "gateway"} <= spent.cpu_s.keys()
    roles = spent.database.by_role()
    assert roles["bp_payments"] > 0
    assert "postgres" not in roles, "the bench's own queries are not a cost of the bank"
    assert spent.database.wal_bytes > 500 * interbank.outcome.accepted
    assert spent.database.written_bytes > spent.database.wal_bytes
    assert spent.database.flushes > 0
    assert spent.kafka_bytes > 100 * interbank.outcome.accepted


async def test_a_run_of_book_transfers_is_valid(
    test_bench: TestBench, callers: list[Payer]
) -> None:
    result = await run(test_bench, load_of("book.c64"), orders.book(test_bench, callers))
    assert (result.void, result.outcome.refused) == ([], {})


async def test_arrivals_keep_their_rate_independent_of_the_answers(
    test_bench: TestBench, callers: list[Payer], interbank: Result
) -> None:
    # Half of the rate just measured, so the bank keeps up on any host.
    rate = interbank.per_s / 2
    load = Load("open100", 32, warm_up_s=short_s() / 2, seconds=ARRIVALS / rate, rate=rate)
    times = list[float]()
    result = await run(
        test_bench, load, orders.interbank(test_bench, callers), during=_noted(times)
    )
    assert result.void == []
    assert 0.5 * rate < result.per_s < 1.5 * rate
    outcome = result.outcome
    assert sum(count for count, _, _ in outcome.slices) + outcome.late == outcome.accepted
    assert [times[0] > outcome.begin_time, times[1] >= outcome.end_time] == [True, True], (
        "other work of a run lasts from the end of its warm-up to its last answer"
    )


@asynccontextmanager
async def _noted(times: list[float]) -> AsyncGenerator[None]:
    times.append(time.time())
    yield
    times.append(time.time())


async def test_the_judge_checks_the_whole_bank_at_the_end(bench: Bench, interbank: Result) -> None:
    bench.found.results.append(interbank)
    await judged(bench)
    assert bench.found.reasons == []
    assert bench.found.details["judge"][0]["checked"]["interbank_transfers"] > CUSTOMERS
    assert bench.found.best_per_s() == interbank.per_s


async def test_a_transfer_that_a_store_lacks_makes_the_run_void(
    test_bench: TestBench, interbank: Result
) -> None:
    stranger = str(uuid.uuid4())
    outcome = interbank.outcome
    claimed = replace(
        outcome,
        accepted=outcome.accepted + 1,
        transfer_ids=[*outcome.transfer_ids, stranger],
    )
    found = await differences(test_bench, claimed, "bench-of-nobody")
    assert any("in the books: 1 " in one for one in found)
    assert any("have events: 1 " in one for one in found)
    assert any(f"are stored: {claimed.accepted} " in one for one in found)


async def test_the_baseline_replaces_payments_and_payments_is_restarted(
    test_bench: TestBench, callers: list[Payer]
) -> None:
    accounts = [uuid.UUID(caller.account_id) for caller in callers]
    load = load_of("baseline")
    async with baseline_in_place(test_bench, accounts) as pid:
        result = await run(
            test_bench, load, orders.interbank(test_bench, callers), baseline_pid=pid
        )
    assert (result.void, result.outcome.refused) == ([], {})
    again = await run(test_bench, load_of("interbank.c64"), orders.interbank(test_bench, callers))
    assert again.void == []


async def test_the_report_names_every_figure(
    test_bench: TestBench, interbank: Result, tmp_path: Path
) -> None:
    found = Findings([interbank], void=["a reason"])
    figures = bench_json.figures_of(found, test_bench.stack.home)
    file = tmp_path / "bench.json"
    bench_json.write(file, bench_json.content(found, figures))
    written = json.loads(file.read_text())
    assert (written["void"], written["reason"]) == (True, "a reason")
    speeds = {
        f"interbank.c64.{name}" for name in ("per_s", "p50_ms", "p95_ms", "p99_ms", "p999_ms")
    }
    costs = {f"interbank.{name}" for name in ("cpu_ms", "events_lag_p99_ms", "round_trips")}
    assert speeds | costs <= written["figures"].keys()
    assert 0 < figures["interbank.c64.p50_ms"] <= figures["interbank.c64.p99_ms"]
    assert {"interbank transfers", "CPU of one"} <= {one["what"] for one in written["targets"]}
    show(found, figures)


def test_too_many_refused_requests_make_a_run_void() -> None:
    outcome = Outcome(0, 1, 1000, 998, {"503": 2}, ["busy"], 0, 1, [1.0], [], 0)
    assert "2 of 1000" in refusals(outcome)[0]
    assert refusals(replace(outcome, refused={"503": 1})) == []
