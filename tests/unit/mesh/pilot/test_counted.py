"""What a proxy's admin page says: calls with their tags, and counters of clusters with dots."""

import json

import pytest

from mesh.pilot.counted import ClusterState, Sample, sample

CALLS = """# TYPE envoy_calls_total counter
envoy_calls_total{caller="spiffe://bp.internal/ns/bp/sa/payments",method="/a.B/C",outcome="200/0"} 7
envoy_calls_total{caller="-",method="",outcome="404/-"} 2
envoy_calls_total{caller="say \\"hi\\", {you}",method="m",outcome="200/0"} 1
# TYPE envoy_calls_ms histogram
envoy_calls_ms_bucket{caller="x",method="/a.B/C",le="0.5"} 1
envoy_calls_ms_bucket{caller="x",method="/a.B/C",le="+Inf"} 3
envoy_calls_ms_sum{caller="x",method="/a.B/C"} 12.5
envoy_calls_ms_count{caller="x",method="/a.B/C"} 3
"""
EMPTY = json.dumps({"stats": []})


def others(**values: int) -> str:
    """Return the JSON of these counters, with the other things that Envoy adds."""
    stats = [{"name": name, "value": value} for name, value in values.items()]
    return json.dumps({"stats": [*stats, {"histograms": {}}]})


def test_calls_and_times_have_their_tags() -> None:
    """Tags may contain quotes and braces."""
    found = sample(CALLS, EMPTY)
    assert found.calls == {
        ("spiffe://bp.internal/ns/bp/sa/payments", "/a.B/C", "200/0"): 7,
        ("-", "", "404/-"): 2,
        ('say "hi", {you}', "m", "200/0"): 1,
    }
    assert found.times == {("x", "/a.B/C", 0.5): 1, ("x", "/a.B/C", float("inf")): 3}


def test_policies_in_dry_run_are_counted_by_name() -> None:
    """A name may have dots. Enforced policies and the sum of all are left out."""
    at = "http.inbound.rbac"
    values = {
        f"{at}.policy.freeze.v2.shadow_denied": 3,
        f"{at}.policy.open.shadow_allowed": 2,
        f"{at}.policy.gateway.allowed": 9,
        f"{at}.shadow_denied": 3,
    }
    assert sample("", others(**values)).dry_runs == {"freeze.v2": 3, "open": 2}


def test_the_names_of_clusters_may_have_dots() -> None:
    """Partners' hosts have some."""
    at = "cluster.partner/ach-network.example."
    values = {
        f"{at}upstream_rq_retry": 4,
        f"{at}outlier_detection.ejections_active": 1,
        f"{at}circuit_breakers.default.rq_open": 0,
        "cluster.service/customers/v2.circuit_breakers.default.cx_open": 1,
        "server.uptime": 12,
        "http.edge.jwt_authn.jwks_fetch_success": 3,
    }
    assert sample("", others(**values)) == Sample(
        12,
        {},
        {},
        {
            "partner/ach-network.example": ClusterState(4, 1),
            "service/customers/v2": ClusterState(full=True),
        },
        3,
    )


@pytest.mark.parametrize("page", ["", "no json", "[1"])
def test_a_page_that_is_no_json_is_an_error(page: str) -> None:
    """The collector leaves this proxy out of the round."""
    with pytest.raises(ValueError, match=r"line 1 column"):
        sample(CALLS, page)
