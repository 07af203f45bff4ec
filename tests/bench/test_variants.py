"""The bench's parts on the running bank: the ledger alone, no sidecar, a loaded history."""

from pathlib import Path

import pytest

from lab.bench.bench import Bench
from lab.bench.load import orders
from lab.bench.report.verdict import judged
from lab.bench.runs import Load, run
from lab.bench.variants import gateway_direct, history
from lab.bench.variants.ledger_alone import PEER_FILE, ledger
from lab.bench.variants.no_sidecar import mesh
from sandbox.stack.parts import proxy_start
from tests.bench.conftest import short_s

PEER = """
CREATE TABLE pgledger_accounts (
    id text PRIMARY KEY, name text, currency text, balance numeric NOT NULL DEFAULT 0
);
CREATE FUNCTION pgledger_create_account(name text, currency text) RETURNS text LANGUAGE sql AS $$
    INSERT INTO pgledger_accounts (id, name, currency)
    VALUES (gen_random_uuid()::text, $1, $2) RETURNING id
$$;
CREATE FUNCTION pgledger_create_transfer(from_id text, to_id text, amount numeric) RETURNS void
LANGUAGE sql AS $$
    UPDATE pgledger_accounts SET balance = balance + CASE id WHEN $1 THEN -$3 ELSE $3 END
    WHERE id = ANY (ARRAY(SELECT id FROM pgledger_accounts WHERE id IN ($1, $2)
                          ORDER BY id FOR UPDATE))
$$;
"""
"""Functions with the names and arguments of pgledger's."""


async def test_the_ledger_and_a_peer_are_measured_alone_and_the_books_agree(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "peer.sql"
    file.write_text(PEER)
    monkeypatch.setenv(PEER_FILE, str(file))
    await ledger(bench)
    assert bench.found.reasons == []
    figures = bench.found.figures
    for shape in ("spread", "hot"):
        assert figures[f"ledger.{shape}.per_s"] > 0
        assert figures[f"ledger.single.{shape}.per_s"] > 0
        assert figures[f"ledger.pgledger.{shape}.per_s"] > 0
    assert {shape["name"] for shape in bench.found.details["ledger"]["shapes"]} <= {
        name.removeprefix("ledger.").removesuffix(".per_s") for name in figures
    }


async def test_without_sidecars_none_counts_a_request_and_afterwards_all_do(bench: Bench) -> None:
    folder = bench.test_bench.stack.home.envoy / gateway_direct.GATEWAY
    await mesh(bench)
    assert bench.found.reasons == []
    assert all(result.outcome.accepted for result in bench.found.results)
    before, without, after = bench.found.details["mesh"]["passes"]
    assert all(before.values())
    assert all(after.values())
    assert set(without.values()) == {0}, without
    assert {"mesh.hop_cpu_us", "mesh.share"} <= bench.found.figures.keys()
    assert (folder / proxy_start.START).readlink() == Path(proxy_start.STREAM)
    again = Load("again", connections=4, warm_up_s=0.2, seconds=short_s())
    result = await run(bench.test_bench, again, orders.interbank(bench.test_bench, bench.callers))
    assert result.void == []


async def test_the_judge_finds_no_difference_in_a_loaded_history(bench: Bench) -> None:
    before = await history.transfers_there(bench.test_bench)
    await history.load(bench.test_bench, 500, 60, bench.say)
    assert await history.transfers_there(bench.test_bench) == before + 500
    load = Load("after", connections=4, warm_up_s=0.2, seconds=short_s())
    result = await run(bench.test_bench, load, orders.interbank(bench.test_bench, bench.callers))
    assert result.void == []
    assert await history.books_problems(bench.test_bench) == 0
    await judged(bench)
    assert bench.found.reasons == []
