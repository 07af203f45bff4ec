"""The bench's parts on the running bank: the ledger alone, the mesh aside, a history."""

import json
from pathlib import Path

import pytest

from sandbox.bench import edge_direct, history, orders
from sandbox.bench.bench import Bench
from sandbox.bench.ledger_alone import PEER_FILE, ledger
from sandbox.bench.mesh_aside import mesh
from sandbox.bench.runs import Load, run
from sandbox.bench.verdict import judged
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
"""Another ledger's functions, as pgledger names them."""


async def test_the_ledger_alone_is_measured_beside_a_peer_and_its_books_hold(
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


async def test_without_the_mesh_no_sidecar_works_and_afterwards_all_do(bench: Bench) -> None:
    home = bench.stand.stack.home
    rendered = (home.envoy / edge_direct.EDGE / "cds.json").read_text()
    await mesh(bench)
    assert bench.found.reasons == []
    assert all(result.outcome.accepted for result in bench.found.results)
    before, straight, after = bench.found.details["mesh"]["passes"]
    assert all(before.values())
    assert all(after.values())
    assert set(straight.values()) == {0}, straight
    assert {"mesh.hop_cpu_us", "mesh.share"} <= bench.found.figures.keys()
    assert (home.envoy / edge_direct.EDGE / "cds.json").read_text() == rendered
    assert "straight" not in json.loads(rendered)["version_info"]
    again = Load("again", connections=4, warm_up_s=0.2, seconds=short_s())
    result = await run(bench.stand, again, orders.interbank(bench.stand, bench.callers))
    assert result.void == []


async def test_a_loaded_history_is_one_that_the_judge_believes(bench: Bench) -> None:
    before = await history.transfers_there(bench.stand)
    await history.load(bench.stand, 500, 60, bench.say)
    assert await history.transfers_there(bench.stand) == before + 500
    load = Load("after", connections=4, warm_up_s=0.2, seconds=short_s())
    result = await run(bench.stand, load, orders.interbank(bench.stand, bench.callers))
    assert result.void == []
    assert await history.books_problems(bench.stand) == 0
    await judged(bench)
    assert bench.found.reasons == []
