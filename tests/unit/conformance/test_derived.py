"""What `make gen` writes for clusters: rules of SREs with the timeouts and callers of contracts."""

from typing import Any

import pytest

from mesh.istio import access, breakers, routes
from mesh.istio.kinds import HOSTS, duration
from services import contracts

HOST = f"customers{HOSTS}"


def virtual_service(*http: dict[str, Any]) -> dict[str, Any]:
    """Return a VirtualService of customers as an SRE writes it."""
    metadata = {"name": "customers", "namespace": "bp"}
    return {"kind": "VirtualService", "metadata": metadata, "spec": {"hosts": [HOST], "http": http}}


def derived(*http: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the rules that are derived for customers."""
    found = routes.virtual_services(contracts.load(), [virtual_service(*http)])
    (made,) = [each for each in found if each["metadata"]["name"] == "customers"]
    return made["spec"]["http"]


def matching(rules: list[dict[str, Any]], path: str) -> dict[str, Any]:
    """Return the first rule that has the path among its matches."""
    return next(r for r in rules if {"exact": path} in [m.get("uri") for m in r.get("match", ())])


PATH = "/bp.customers.v1.CustomersService/BatchGetHolders"
TO: dict[str, Any] = {"route": [{"destination": {"host": HOST}}]}


@pytest.mark.parametrize(
    ("written", "timeout"),
    [({}, "2500ms"), ({"timeout": "1s"}, "1s"), ({"timeout": "1m"}, "2500ms")],
)
def test_a_method_has_the_shorter_of_its_deadline_and_the_rules_timeout(
    written: dict[str, str], timeout: str
) -> None:
    assert matching(derived({**TO, **written}), PATH)["timeout"] == timeout


def test_a_rule_for_a_header_is_asked_before_the_rule_for_all() -> None:
    canary = {"match": [{"headers": {"x-canary": {"exact": "1"}}}], **TO}
    first = matching(derived(canary, TO), PATH)
    assert first["match"][0]["headers"] == {"x-canary": {"exact": "1"}}


def test_a_rule_for_another_path_is_not_repeated_for_a_method() -> None:
    other = {"match": [{"uri": {"prefix": "/bp.other"}}], **TO}
    assert derived(other, TO)[0]["match"] == [{"uri": {"prefix": "/bp.other"}}]


def test_a_rule_without_retries_says_so_because_istio_retries_twice() -> None:
    assert all(rule["retries"] == {"attempts": 0} for rule in derived(TO))


def test_every_method_has_exactly_the_callers_of_its_contract() -> None:
    read = contracts.load()
    granted: dict[str, set[str]] = {}
    for policy in access.policies(read):
        for rule in policy["spec"]["rules"]:
            for path in rule["to"][0]["operation"]["paths"]:
                granted[path] = set(rule["from"][0]["source"]["principals"])
    assert granted.keys() == read.keys()
    assert granted[PATH] == {"bp.internal/ns/bp/sa/transfers"}


def test_a_breaker_is_capped_for_callers_only() -> None:
    policy = {"outlierDetection": {"baseEjectionTime": "30s"}}
    rule = {"kind": "DestinationRule", "spec": {"host": "a.example", "trafficPolicy": policy}}
    (made,) = breakers.filters([rule])
    contexts = {each["match"]["context"] for each in made["spec"]["configPatches"]}
    assert contexts == {"SIDECAR_OUTBOUND", "GATEWAY"}


def test_a_duration_is_whole_seconds_or_milliseconds() -> None:
    assert (duration(30_000), duration(2500)) == ("30s", "2500ms")
