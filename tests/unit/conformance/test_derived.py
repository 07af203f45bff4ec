"""What `make gen` writes for clusters: rules of SREs with the timeouts and callers of contracts."""

from typing import Any

import pytest
import yaml

from lab.conformance import ours
from lab.conformance.istio import CONFIG, Files
from mesh.istio import access, certificates, clusters, files, routes, settings
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


@pytest.fixture(scope="module")
def of_callers() -> dict[str, dict[str, Any]]:
    """Return the patches of clusters by workload and host."""
    mesh, _ = ours.loaded(Files())
    return {
        each["metadata"]["name"]: {
            one["match"]["cluster"]["service"]: one for one in each["spec"]["configPatches"]
        }
        for each in clusters.filters(mesh)
    }


def test_a_breaker_is_open_for_the_time_of_its_own_caller(
    of_callers: dict[str, dict[str, Any]],
) -> None:
    found = {
        name: patches["oauth.example"]["patch"]["value"]["outlier_detection"]
        for name, patches in of_callers.items()
        if "oauth.example" in patches
    }
    assert found == {
        "clusters-of-auth": {"max_ejection_time": "30s"},
        "clusters-of-gateway": {"max_ejection_time": "1s"},
    }


def test_a_patch_of_a_sidecar_is_for_calls_of_its_service_only(
    of_callers: dict[str, dict[str, Any]],
) -> None:
    contexts = {
        name: {each["match"]["context"] for each in patches.values()}
        for name, patches in of_callers.items()
    }
    assert contexts.pop("clusters-of-gateway") == {"GATEWAY"}
    assert set(map(frozenset, contexts.values())) == {frozenset({"SIDECAR_OUTBOUND"})}


def test_partners_are_offered_http_2_as_the_design_documents_table_says(
    of_callers: dict[str, dict[str, Any]],
) -> None:
    value = of_callers["clusters-of-notifications"]["fcm.googleapis.com"]["patch"]["value"]
    (options,) = value["typed_extension_protocol_options"].values()
    assert "http2_protocol_options" in options["auto_config"]


def test_no_pod_may_read_secrets_and_each_mounts_only_its_own() -> None:
    written = files.of_sres(CONFIG)
    assert certificates.mounted(written) == {
        "gateway": ["edge"],
        "payments": ["ach-network-client"],
    }
    made = list(certificates.kinds(written))
    assert {each["kind"] for each in made} == {"Gateway", "DestinationRule"}
    assert "credentialName" not in str(made)
    rendered = "".join(files.documents().values())
    assert "kind: Role" not in rendered


def test_the_access_log_of_a_cluster_has_the_fields_of_one_machine() -> None:
    mesh, passed_on = ours.loaded(Files())
    (provider,) = yaml.safe_load(settings.mesh_config(mesh.edge, passed_on)["data"]["mesh"])[
        "extensionProviders"
    ]
    labels = provider["envoyFileAccessLog"].get("logFormat", {}).get("labels", {})
    assert labels["url.path"] == "%PATH(NQ)%"
    assert not any("ADDRESS" in each or "USER-AGENT" in each for each in labels.values())


def test_a_duration_is_whole_seconds_or_milliseconds() -> None:
    assert (duration(30_000), duration(2500)) == ("30s", "2500ms")
