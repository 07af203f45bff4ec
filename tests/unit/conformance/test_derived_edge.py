"""What `make gen` writes of the gateway for clusters: every filter, limit and route setting."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab.conformance import ours
from lab.conformance.istio import CONFIG, Files
from mesh.controlplane.translate.edge import names
from mesh.controlplane.translate.edge.listener import edge_listener
from mesh.controlplane.translate.http import FAULT
from mesh.controlplane.translate.parts import STREAM
from mesh.istio import bootstrap, edge, edge_filters, edge_routes, files
from services import contracts

Kind = dict[str, Any]
TO: Kind = {"route": [{"destination": {"host": "customers.bp.svc.cluster.local"}}]}


def rendered(config: Path) -> list[Kind]:
    """Return everything of the gateway."""
    mesh, passed_on = ours.loaded(Files(config))
    return [
        *edge.kinds(contracts.load(), files.of_sres(config)),
        *edge_filters.filters(mesh.edge, passed_on),
        *edge_routes.filters(mesh.edge),
        bootstrap.config_map(mesh.edge),
    ]


@pytest.fixture(scope="module")
def by_name() -> dict[str, Kind]:
    """Return the objects of the gateway by kind and name."""
    return {f"{each['kind']} {each['metadata']['name']}": each for each in rendered(CONFIG)}


def patches(of: Kind) -> list[Kind]:
    """Return the patches of an EnvoyFilter."""
    return of["spec"]["configPatches"]


def test_every_filter_of_the_listener_is_istios_or_a_patch(by_name: dict[str, Kind]) -> None:
    mesh, passed_on = ours.loaded(Files())
    manager = edge_filters.plain(edge_listener(mesh.edge, STREAM, passed_on))["filter_chains"][0]
    wanted = [each["name"] for each in manager["filters"][0]["typed_config"]["http_filters"]]
    given = [
        each["patch"]["value"]["name"]
        for name in ("EnvoyFilter edge-filters", "EnvoyFilter edge-transcoding")
        for each in patches(by_name[name])
        if "value" in each["patch"]
    ]
    assert sorted([*given, names.RBAC, "envoy.filters.http.router"]) == sorted(wanted)


def test_the_filters_that_istio_puts_elsewhere_are_moved(by_name: dict[str, Kind]) -> None:
    removed = [
        each["match"]["listener"]["filterChain"]["filter"]["subFilter"]["name"]
        for each in patches(by_name["EnvoyFilter edge-filters"])
        if each["patch"]["operation"] == "REMOVE"
    ]
    assert removed == [names.CORS, FAULT]


def test_every_route_with_settings_is_a_rule_of_the_virtual_service(
    by_name: dict[str, Kind],
) -> None:
    rules = {each["name"] for each in by_name["VirtualService edge"]["spec"]["http"]}
    routes = [
        each["match"].get("routeConfiguration", {}).get("vhost", {}).get("route", {}).get("name")
        for each in patches(by_name["EnvoyFilter edge-routes"])
    ]
    named = {each for each in routes if each}
    assert named <= rules
    refusals = {"nowhere", "two hosts"}
    assert {each for each in rules - named if not each.startswith(("not ", "no length "))} == (
        refusals
    )


def test_no_object_is_too_large_for_kubectl(by_name: dict[str, Kind]) -> None:
    assert max(len(str(each)) for each in by_name.values()) < 256 * 1024


def test_an_injected_grpc_code_is_the_status_of_the_rest_answer() -> None:
    fault = {"abort": {"grpcStatus": "UNAVAILABLE", "percentage": {"value": 1}}}
    assert _accounts({**TO, "fault": fault})["fault"] == {
        "abort": {"httpStatus": 503, "percentage": {"value": 1}}
    }


def test_a_rewritten_path_replaces_the_path_of_the_method() -> None:
    rule = {**TO, "rewrite": {"uri": "/other/"}}
    assert _accounts(rule)["rewrite"]["uriRegexRewrite"] == {
        "match": ".*",
        "rewrite": "/other/bp.customers.v1.CustomersService/ListAccounts",
    }


def _accounts(rule: Kind) -> Kind:
    """Return the gateway's rule for the list of accounts, when an SRE has written one rule."""
    written = [
        each
        for each in files.of_sres(CONFIG)
        if each["kind"] != "VirtualService" or "customers" not in str(each["spec"]["hosts"])
    ]
    spec = {"hosts": ["customers.bp.svc.cluster.local"], "http": [rule]}
    by_sre = {"kind": "VirtualService", "metadata": {"name": "customers"}, "spec": spec}
    service, _ = edge.kinds(contracts.load(), [*written, by_sre])
    return next(e for e in service["spec"]["http"] if e["name"].endswith(".ListAccounts.0"))


def _leaves(value: Any, *path: str | int) -> Iterator[tuple[str | int, ...]]:
    if isinstance(value, dict | list):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for key, each in pairs:
            yield from _leaves(each, *path, key)
    else:
        yield path


def _policy(config: Path) -> tuple[Path, list[Kind], Kind]:
    file = config / "gateway.yaml"
    documents = list(yaml.safe_load_all(file.read_text()))
    (policy,) = [each["spec"] for each in documents if each["kind"] == "EdgePolicy"]
    return file, documents, policy


_OTHER = {
    "https://app.bp.example": "https://other.bp.example",
    "spiffe://ach-network.example/webhooks": "spiffe://ach-network.example/others",
    "spiffe://sms-gateway.example/webhooks": "spiffe://sms-gateway.example/others",
    "15s": "14s",
    "60s": "59s",
    "10m": "9m",
}
_NAMES = {"authorization", "content-type", "ach-network", "sms-gateway"}
"""Values that the contracts or the other settings need as they are."""


def _settings() -> list[tuple[str | int, ...]]:
    _, _, policy = _policy(CONFIG)
    return [path for path in _leaves(policy) if _at(policy, path) not in _NAMES]


def _at(policy: Any, path: tuple[str | int, ...]) -> Any:
    for key in path:
        policy = policy[key]
    return policy


@pytest.mark.parametrize("path", _settings(), ids=lambda path: ".".join(map(str, path)))
def test_every_setting_of_edge_policy_changes_what_a_cluster_gets(
    path: tuple[str | int, ...], tmp_path: Path
) -> None:
    config = tmp_path / "config"
    shutil.copytree(CONFIG, config)
    file, documents, policy = _policy(config)
    value = _at(policy, path)
    changed = value + 1 if isinstance(value, int) else _OTHER.get(value, f"x-{value}")
    _at(policy, path[:-1])[path[-1]] = changed
    file.write_text(yaml.safe_dump_all(documents))
    assert rendered(config) != _unchanged()


_KEPT: list[list[Kind]] = []


def _unchanged() -> list[Kind]:
    if not _KEPT:
        _KEPT.append(rendered(CONFIG))
    return _KEPT[0]
