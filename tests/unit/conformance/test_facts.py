"""The facts of a call are the same, however a configuration names and structures them."""

from typing import Any

import pytest

from lab.conformance.facts import (
    access,
    destinations,
    entrance,
    matching,
    names,
    proxy,
    routing,
)
from lab.conformance.facts.calls import Call

GATEWAY = "spiffe://bp.internal/ns/bp/sa/gateway"
CALL = Call("customers", "/bp.x.v1.X/Do", identity=GATEWAY)


def table(*routes: dict[str, Any], domains: tuple[str, ...] = ("customers",)) -> dict[str, Any]:
    """Return routes of one virtual host, and an answer for all other hosts."""
    rest = {"match": {"prefix": "/"}, "direct_response": {"status": 403}}
    return {
        "virtual_hosts": [
            {"name": "one", "domains": list(domains), "routes": list(routes)},
            {"name": "rest", "domains": ["*"], "routes": [rest]},
        ]
    }


def test_the_first_matching_route_decides() -> None:
    found = routing.facts(
        table(
            {"match": {"path": "/other"}, "route": {"cluster": "app"}},
            {"match": {"prefix": "/"}, "route": {"cluster": "service/customers", "timeout": "2s"}},
        ),
        CALL,
    )
    assert (found["to"], found["timeout_ms"]) == ({"customers": 100}, 2000)


def test_a_timeout_of_zero_is_unlimited_and_an_absent_one_is_envoys_default() -> None:
    for timeout, expected in (({"timeout": "0s"}, "unlimited"), ({}, 15_000)):
        route = {"match": {"prefix": "/"}, "route": {"cluster": "app", **timeout}}
        assert routing.facts(table(route), CALL)["timeout_ms"] == expected


def test_weights_are_shares_of_their_sum() -> None:
    clusters = [
        {"name": "outbound|80|v1|customers.bp.svc.cluster.local", "weight": 9},
        {"name": "outbound|80|v2|customers.bp.svc.cluster.local", "weight": 1},
    ]
    route = {"match": {"prefix": "/"}, "route": {"weighted_clusters": {"clusters": clusters}}}
    assert routing.facts(table(route), CALL)["to"] == {"customers/v1": 90, "customers/v2": 10}


def test_no_attempts_are_no_retries() -> None:
    policy = {"num_retries": 0, "retry_on": "5xx"}
    route = {"match": {"prefix": "/"}, "route": {"cluster": "app", "retry_policy": policy}}
    assert routing.facts(table(route), CALL)["retries"] is None


@pytest.mark.parametrize(
    ("authority", "answer"), [("a.example", 403), ("b.a.example", None), ("x.b.a.example", None)]
)
def test_a_longer_wildcard_wins_over_the_star(authority: str, answer: int | None) -> None:
    route = {"match": {"prefix": "/"}, "route": {"cluster": "app"}}
    found = routing.facts(table(route, domains=("*.a.example",)), Call(authority, "/"))
    assert found.get("answer") == answer


@pytest.mark.parametrize(
    "cluster",
    ["service/customers", "outbound|80||customers.bp.svc.cluster.local"],
)
def test_a_cluster_has_one_name(cluster: str) -> None:
    assert names.destination(cluster) == "customers"


@pytest.mark.parametrize(
    ("secret", "meaning"),
    [
        ("default", "own"),
        ("ROOTCA", "mesh"),
        ("kubernetes://fraud-cacert", "fraud"),
        ("ach-network-client", "ach-network-client"),
    ],
)
def test_a_secret_has_one_name(secret: str, meaning: str) -> None:
    assert names.secret(secret, "payments") == meaning


def manager(*rules: dict[str, Any]) -> dict[str, Any]:
    """Return a connection manager with an RBAC filter for each set of rules."""
    kind = "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC"
    filters = [{"name": "rbac", "typed_config": {"@type": kind, "rules": each}} for each in rules]
    return {"http_filters": filters}


def rule(action: str, path: str, identity: str) -> dict[str, Any]:
    """Return rules with one policy, in the structure that Istio gives them."""
    to = {"url_path": {"path": {"exact": path}}}
    by = {"authenticated": {"principal_name": {"exact": identity}}}
    policy = {
        "permissions": [{"and_rules": {"rules": [{"or_rules": {"rules": [to]}}]}}],
        "principals": [{"and_ids": {"ids": [{"or_ids": {"ids": [by]}}]}}],
    }
    return {"action": action, "policies": {"one": policy}}


def test_a_call_needs_every_filter_to_pass() -> None:
    allow, deny = rule("ALLOW", CALL.path, GATEWAY), rule("DENY", CALL.path, GATEWAY)
    assert access.allows(manager(allow), None, CALL)
    assert not access.allows(manager(deny, allow), None, CALL)


def test_a_policy_without_rules_allows_nothing() -> None:
    assert not access.allows(manager({"action": "ALLOW"}), None, CALL)


def test_the_rules_of_a_route_replace_those_of_the_filter() -> None:
    kind = "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBACPerRoute"
    own = {"@type": kind, "rbac": {"rules": rule("ALLOW", CALL.path, GATEWAY)}}
    route = {"typed_per_filter_config": {"rbac": own}}
    assert access.allows(manager({"action": "ALLOW"}), route, CALL)


def test_an_unknown_matcher_is_an_error() -> None:
    with pytest.raises(matching.Unknown):
        matching.string({"custom": {}}, "x")


def test_a_template_matches_one_segment() -> None:
    assert matching.template("/v1/accounts/{*}/entries", "/v1/accounts/7/entries")
    assert not matching.template("/v1/accounts/{*}", "/v1/accounts/7/entries")


def test_envoys_defaults_are_filled_in() -> None:
    found = destinations.facts({"name": "x", "outlier_detection": {}}, "payments")
    assert (found["connect_timeout_ms"], found["max_retries"]) == (5000, 3)
    assert found["breaker"]["failures"] == 5
    assert found["breaker"]["open_ms_max"] == 300_000


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("kubernetes://fraud-cacert", "fraud"),
        ("file-cert:/etc/bp/credentials/edge/tls.crt~/etc/bp/credentials/edge/tls.key", "edge"),
        ("file-root:/etc/bp/credentials/edge/ca.crt", "edge"),
    ],
)
def test_a_secret_has_one_name_as_object_and_as_files(name: str, expected: str) -> None:
    assert names.secret(name, "payments") == expected


def test_settings_of_a_filter_are_the_same_inside_the_listener_and_as_an_extension() -> None:
    settings = {"name": "one", "typed_config": {"@type": "a.b.One", "size": 1}}
    inside = {"http_filters": [settings]}
    named = {"http_filters": [{"name": "one", "config_discovery": {}}]}
    by_stream = proxy.proxy("gateway", [], [], [], [settings])
    assert by_stream.http_filters(named) == by_stream.http_filters(inside)


def test_a_long_text_is_compared_by_its_digest_and_a_cluster_by_its_destination() -> None:
    first, other = ({"code": letter * 200, "cluster": name} for letter, name in _CODES)
    assert entrance.short(first)["cluster"] == entrance.short(other)["cluster"] == "oauth.example"
    assert entrance.short(first)["code"].startswith("sha256 ")
    assert entrance.short(first)["code"] != entrance.short(other)["code"]


_CODES = (("a", "partner/oauth.example"), ("b", "outbound|80||oauth.example"))


def test_filters_that_only_count_are_not_compared() -> None:
    listed = [{"name": "envoy.filters.http.grpc_stats", "typed_config": {}}]
    manager = {"http_filters": listed}
    chain = {"filters": [{"name": _MANAGER, "typed_config": manager}]}
    found = dict(entrance.facts(proxy.proxy("gateway", [{"filter_chains": [chain]}], [], [])))
    assert found["filters"] == []


_MANAGER = "envoy.filters.network.http_connection_manager"
