"""The bench measures what it says: transfers found in every store, and payments put back."""

import json
import uuid
from dataclasses import replace
from pathlib import Path

import pytest

from sandbox.bench import orders, report
from sandbox.bench.bench import Bench, Findings
from sandbox.bench.floor_stage import floor_in_place
from sandbox.bench.generator import Outcome
from sandbox.bench.orders import Payer
from sandbox.bench.runs import Load, Result, refusals, run
from sandbox.bench.show import show
from sandbox.bench.stand import Stand
from sandbox.bench.trail import differences
from sandbox.bench.verdict import judged
from tests.bench.conftest import CUSTOMERS, short_s

ARRIVALS = 60


def load_of(name: str) -> Load:
    """Return a short run on a few connections."""
    return Load(name, connections=4, warm_up_s=short_s() / 2, seconds=2 * short_s())


@pytest.fixture(scope="module")
async def interbank(stand: Stand, callers: list[Payer]) -> Result:
    return await run(stand, load_of("interbank.c64"), orders.interbank(stand, callers))


async def test_every_transfer_of_a_run_is_found_in_every_store(interbank: Result) -> None:
    assert interbank.void == []
    assert interbank.outcome.accepted > CUSTOMERS
    assert interbank.drained is not None
    assert interbank.drained.lag_p99_ms > 0


async def test_what_a_transfer_costs_is_told_by_part_of_the_bank(interbank: Result) -> None:
    spent = interbank.spent
    assert {"payments", "postgres", "kafka", "gateway"} <= spent.cpu_s.keys()
    roles = spent.database.by_role()
    assert roles["bp_payments"] > 0
    assert "postgres" not in roles, "the bench's own looks are no cost of the bank"
    assert spent.database.wal_bytes > 500 * interbank.outcome.accepted
    assert spent.database.written_bytes > spent.database.wal_bytes
    assert spent.database.flushes > 0
    assert spent.kafka_bytes > 100 * interbank.outcome.accepted


async def test_book_transfers_run_the_same_way(stand: Stand, callers: list[Payer]) -> None:
    result = await run(stand, load_of("internal.c64"), orders.internal(stand, callers))
    assert (result.void, result.outcome.refused) == ([], {})


async def test_arrivals_come_at_their_rate_whatever_the_answers_do(
    stand: Stand, callers: list[Payer], interbank: Result
) -> None:
    # Half of what the bank just did, so that it keeps up on any host.
    rate = interbank.per_s / 2
    load = Load("open100", 32, warm_up_s=short_s() / 2, seconds=ARRIVALS / rate, rate=rate)
    result = await run(stand, load, orders.interbank(stand, callers))
    assert result.void == []
    assert 0.5 * rate < result.per_s < 1.5 * rate
    outcome = result.outcome
    assert sum(count for count, _, _ in outcome.slices) + outcome.late == outcome.accepted


async def test_a_bench_ends_with_a_judgement_of_the_whole_bank(
    bench: Bench, interbank: Result
) -> None:
    bench.found.results.append(interbank)
    await judged(bench)
    assert bench.found.reasons == []
    assert bench.found.details["judge"][0]["checked"]["interbank_transfers"] > CUSTOMERS
    assert bench.found.best_per_s() == interbank.per_s


async def test_a_transfer_that_a_store_lacks_makes_the_run_void(
    stand: Stand, interbank: Result
) -> None:
    stranger = str(uuid.uuid4())
    outcome = interbank.outcome
    claimed = replace(
        outcome,
        accepted=outcome.accepted + 1,
        transfer_ids=[*outcome.transfer_ids, stranger],
    )
    found = await differences(stand, claimed, "bench-of-nobody")
    assert any("in the books: 1 " in one for one in found)
    assert any("have events: 1 " in one for one in found)
    assert any(f"are stored: {claimed.accepted} " in one for one in found)


async def test_the_floor_takes_payments_place_and_gives_it_back(
    stand: Stand, callers: list[Payer]
) -> None:
    accounts = [uuid.UUID(caller.account_id) for caller in callers]
    load = load_of("floor")
    async with floor_in_place(stand, accounts) as pid:
        result = await run(stand, load, orders.interbank(stand, callers), floor_pid=pid)
    assert (result.void, result.outcome.refused) == ([], {})
    again = await run(stand, load_of("interbank.c64"), orders.interbank(stand, callers))
    assert again.void == []


async def test_the_report_names_every_figure(
    stand: Stand, interbank: Result, tmp_path: Path
) -> None:
    found = Findings([interbank], void=["a reason"])
    figures = report.figures_of(found, stand.stack.home)
    file = tmp_path / "bench.json"
    report.write(file, report.document(found, figures))
    written = json.loads(file.read_text())
    assert (written["void"], written["reason"]) == (True, "a reason")
    speeds = {
        f"interbank.c64.{name}" for name in ("per_s", "p50_ms", "p95_ms", "p99_ms", "p999_ms")
    }
    costs = {f"interbank.{name}" for name in ("cpu_ms", "events_lag_p99_ms", "round_trips")}
    assert speeds | costs <= written["figures"].keys()
    assert 0 < figures["interbank.c64.p50_ms"] <= figures["interbank.c64.p99_ms"]
    assert {"interbank transfers", "CPU of one"} <= {mark["what"] for mark in written["marks"]}
    show(found, figures)


def test_requests_that_were_refused_make_a_run_void() -> None:
    outcome = Outcome(0, 1, 1000, 998, {"503": 2}, ["busy"], 0, 1, [1.0], [], 0)
    assert "2 of 1000" in refusals(outcome)[0]
    assert refusals(replace(outcome, refused={"503": 1})) == []
