"""Pure functions of the variants: parsing pgbench's output, no_sidecar, growth and soak."""

from typing import Any

import pytest

from lab.bench.load.generator import Outcome
from lab.bench.meters import passes
from lab.bench.meters.meter import Spent
from lab.bench.runs import Load, Result
from lab.bench.variants import gateway_direct, growth, no_sidecar, pgbench, soak

PGBENCH = """transaction type: single.sql
number of transactions actually processed: 12345
number of failed transactions: 2 (0.016%)
latency average = 2.541 ms
initial connection time = 20.1 ms
tps = 6295.400000 (without initial connection time)
"""


def test_the_output_of_pgbench_is_parsed() -> None:
    pace = pgbench.parsed(PGBENCH)
    assert (pace.per_s, pace.latency_ms, pace.done, pace.failed) == (6295.4, 2.541, 12345, 2)
    with pytest.raises(ValueError, match="no figures: fatal"):
        pgbench.parsed("fatal: no such table")


def _result(per_s: float, cpu_s: dict[str, float], slices: list[Any] | None = None) -> Result:
    seconds, transfers = 10.0, 1000
    took = [5.0] * int(per_s * seconds)
    outcome = Outcome(0, 1, transfers, transfers, {}, [], 0, seconds, took, [], 0, slices or [])
    load = Load("any", 64, 0.0, seconds)
    return Result(load, outcome, Spent(cpu_s=cpu_s), None)


def test_a_pass_through_a_sidecar_costs_a_third_of_the_difference() -> None:
    meshed = [
        _result(310, {"payments": 4.1, "payments-sidecar": 0.9, "partner-ach": 5.0}),
        _result(290, {"payments": 3.9, "payments-sidecar": 0.9, "partner-ach": 3.0}),
    ]
    no_sidecar_run = _result(400, {"payments": 3.7, "payments-sidecar": 0.3, "partner-ach": 1.0})
    assert no_sidecar.figures(meshed, no_sidecar_run) == {
        "mesh.hop_cpu_us": 300.0,
        "mesh.share": 0.25,
    }


def test_a_run_without_sidecars_is_void_if_a_sidecar_counts_a_request() -> None:
    before = {"customers-sidecar in": 7, "payments-sidecar in": 9}
    after = {"customers-sidecar in": 7, "payments-sidecar in": 11}
    counted = passes.between(before, after)
    assert no_sidecar.strays(counted) == ["payments-sidecar in: 2 calls still went through"]
    assert no_sidecar.strays(passes.between(before, before)) == []


def test_growth_compares_the_cpu_of_one_transfer() -> None:
    young = _result(300, {"postgres": 1.0, "kafka": 1.0})
    old = _result(300, {"postgres": 1.5, "kafka": 1.0})
    assert growth.ratios(growth.AGES[1], young, old) == {
        "growth.cpu_ratio_1m": 1.25,
        "growth.postgres_ratio_1m": 1.5,
    }


def test_the_gateway_calls_a_service_directly_and_sends_its_identity() -> None:
    clusters = {
        "version_info": "7",
        "resources": [
            {"name": "service/other", "transport_socket": {}, "load_assignment": {}},
            {
                "name": "service/payments",
                "transport_socket": {"name": "tls"},
                "load_assignment": {"endpoints": [{"lb_endpoints": ["old"]}]},
            },
        ],
    }
    gateway_direct.bypass_sidecar(clusters, "payments", "in.sock")
    payments: dict[str, Any] = clusters["resources"][1]  # pyright: ignore[reportAssignmentType]
    assert "transport_socket" not in payments
    endpoint = payments["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]
    assert endpoint == {"address": {"pipe": {"path": "in.sock"}}}
    assert "transport_socket" in clusters["resources"][0]
    assert clusters["version_info"] == "7-no-sidecar"
    listeners: dict[str, Any] = {"version_info": "7", "resources": [{"a": [{"route_config": {}}]}]}
    gateway_direct.name_the_gateway(listeners)
    header = listeners["resources"][0]["a"][0]["route_config"]["request_headers_to_add"][0]
    assert header["header"]["value"].endswith("/sa/gateway")
    with pytest.raises(ValueError, match="no routes"):
        gateway_direct.name_the_gateway({"version_info": "7", "resources": []})


MIB = 2**20


def test_a_soak_reports_tables_and_topics_that_must_not_grow() -> None:
    looks = [
        (
            60.0 * minute,
            {
                "ledger.entry_2026_11": 10 * MIB * minute,
                "outbox.event": 3 * MIB * minute,
                "customers.balance": 5 * MIB,
                "topic payments": 8 * MIB * minute,
                "topic stray": 2 * MIB * minute,
            },
        )
        for minute in range(10)
    ]
    found = [(one.name, one.mib_a_minute) for one in soak.growing(looks)]
    assert found == [("outbox.event", 3.0), ("topic stray", 2.0)]
    assert {one.name for one in soak.kept(looks)} == {"ledger.entry_2026_11", "topic payments"}


def test_a_soak_reports_the_slopes_of_memory_and_latency() -> None:
    memory = [(60.0 * m, {"payments": 100.0 + 2 * m, "kafka": 400.0 + 0.1 * m}) for m in range(5)]
    slices = [(50, 10.0, 20.0 + n) for n in range(10)]
    slopes = soak.figures(_result(100, {}, slices), memory)
    assert slopes["soak.rss_slope"] == pytest.approx(2.1)
    assert slopes["soak.p99_slope_ms"] == pytest.approx(60.0), "a slice is one second here"
    assert [one.name for one in soak.parts_growing(memory)] == ["payments"]
