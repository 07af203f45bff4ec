"""Routes, subsets and load balancing of a service, from what an SRE writes to the model."""

import shutil
from pathlib import Path

import pytest

from mesh.controlplane import model
from mesh.controlplane.deliver.files import secret_files, write
from mesh.controlplane.deliver.snapshot import snapshots
from mesh.controlplane.ingest import documents, resources
from mesh.controlplane.ingest.endpoints import Endpoints
from mesh.controlplane.ingest.faults import ConfigFault, Faults
from mesh.controlplane.passed_on import PassedOn
from mesh.controlplane.resolve.mesh import Inputs, resolve
from mesh.ctl import CONFIG
from services import contracts
from tests.rigs.mesh.fixed_places import endpoints

HOST = "customers.bp.svc.cluster.local"
SERVICE = "/bp.customers.v1.CustomersService"
RETRIES = 'retries: {attempts: 1, retryOn: "connect-failure"}'
LAST = f"    - {{route: [{{destination: {{host: {HOST}}}}}], timeout: 6s, {RETRIES}}}\n"
SUBSETS = """  subsets:
    - {name: v1, labels: {version: "1"}}
    - name: v2
      labels: {version: "2"}
      trafficPolicy:
        loadBalancer: {consistentHash: {httpHeaderName: x-shard, ringHash: {minimumRingSize: 64}}}
        outlierDetection:
          consecutive5xxErrors: 3
          interval: 1s
          baseEjectionTime: 5s
          maxEjectionPercent: 100
          minHealthPercent: 0
"""


def _config(folder: Path, routes: str, *, subsets: str = SUBSETS, rule: str = "") -> Path:
    """Return the bank's config with other routes and subsets of customers."""
    config = folder / "config"
    shutil.copytree(CONFIG, config)
    path = config / "services" / "customers.yaml"
    before, _, rest = path.read_text().partition("---\n")
    head, _, _ = rest.partition("    - route:")
    path.write_text(f"{before}{subsets}---\n{head}{routes}")
    if rule:
        (config / "extra.yaml").write_text(rule)
    return config


def _places(*instances: dict[str, str]) -> Endpoints:
    found = endpoints().model_dump(mode="json", exclude_none=True)
    customers = found["services"]["customers"]
    del customers["mtls"]
    customers["instances"] = list(instances)
    return Endpoints.model_validate(found)


TWO = (
    {"address": "127.0.0.1:1", "version": "1"},
    {"address": "127.0.0.1:2", "version": "2", "state": "DRAINING"},
)


def _mesh(config: Path) -> model.Mesh:
    parsed = resources.parse(documents.read_folder(config))
    return resolve(Inputs(parsed, contracts.load(), _places(*TWO)))


def _target(mesh: model.Mesh, caller: str) -> model.ServiceTarget:
    proxies = {each.workload.name: each.services for each in (*mesh.sidecars, mesh.edge)}
    return next(each for each in proxies[caller] if each.name == "customers")


def _route(extra: str, to: str = f"{{destination: {{host: {HOST}}}}}") -> str:
    return f"    - {{route: [{to}], timeout: 5s, {RETRIES}, {extra}}}\n"


def _to(subset: str, weight: int) -> str:
    return f"{{destination: {{host: {HOST}, subset: {subset}}}, weight: {weight}}}"


def test_a_canary_has_weights_subsets_and_instances(tmp_path: Path) -> None:
    split = f"    - {{route: [{_to('v1', 90)}, {_to('v2', 10)}], timeout: 6s, {RETRIES}}}\n"
    target = _target(_mesh(_config(tmp_path, split)), "payments")
    assert target.routes[0].destinations == (
        model.Destination("v1", 90),
        model.Destination("v2", 10),
    )
    assert [(each.version, each.state) for each in target.instances] == [
        ("1", model.InstanceState.READY),
        ("2", model.InstanceState.DRAINING),
    ]
    first, second = target.subsets
    assert (first.name, first.instances, first.traffic) == (
        "v1",
        target.instances[:1],
        target.traffic,
    )
    assert second.instances == target.instances[1:]
    assert second.traffic.balancer == model.Balancer(model.Balancing.HASH, "x-shard", 64)
    assert second.traffic.pool == target.traffic.pool
    assert second.traffic.breaker
    assert second.traffic.breaker.failures == 3


def test_a_subset_without_a_route_is_no_destination(tmp_path: Path) -> None:
    assert _target(_mesh(_config(tmp_path, LAST)), "payments").subsets == ()


def test_a_route_for_one_caller_is_only_in_its_proxy(tmp_path: Path) -> None:
    """All other callers share one view of the service, also the gateway."""
    routes = _route("match: [{sourceLabels: {app: transfers}}], name: slow") + LAST
    mesh = _mesh(_config(tmp_path, routes))
    assert [each.name for each in _target(mesh, "transfers").routes] == ["slow", ""]
    assert _target(mesh, "transfers").routes[0].matches == (model.Match(),)
    assert [each.name for each in _target(mesh, "payments").routes] == [""]
    assert _target(mesh, "payments") is _target(mesh, "gateway")


def test_a_route_has_all_that_an_sre_may_write(tmp_path: Path) -> None:
    match = (
        f"{{uri: {{prefix: {SERVICE}/BatchGet}}, headers: {{x-a: {{exact: b}}, x-c: {{}}}},"
        " withoutHeaders: {x-d: {regex: e+}}, method: {exact: POST}}"
    )
    extra = (
        f"name: fault, match: [{match}],"
        " fault: {delay: {fixedDelay: 1s, percentage: {value: 0.5}},"
        " abort: {grpcStatus: UNAVAILABLE, percentage: {value: 10}}},"
        " headers: {request: {set: {x-f: g}, remove: [x-h]}, response: {add: {x-i: j}}},"
        f" mirror: {{host: {HOST}, subset: v2}}, mirrorPercentage: {{value: 1}}"
    )
    made = _target(_mesh(_config(tmp_path, _route(extra) + LAST)), "payments").routes[0]
    text = model.Text
    assert made.matches == (
        model.Match(
            path=text(model.TextSort.PREFIX, f"{SERVICE}/BatchGet"),
            method=text(model.TextSort.EXACT, "POST"),
            headers=(
                model.HeaderMatch("x-a", text(model.TextSort.EXACT, "b")),
                model.HeaderMatch("x-c", text(model.TextSort.PRESENT, "")),
                model.HeaderMatch("x-d", text(model.TextSort.REGEX, "e+"), inverted=True),
            ),
        ),
    )
    assert made.delay == model.Delay(1000, 5000)
    assert made.abort == model.Abort(None, "UNAVAILABLE", 100_000)
    assert made.request_headers == model.HeaderEdits(set=(("x-f", "g"),), remove=("x-h",))
    assert made.response_headers == model.HeaderEdits(add=(("x-i", "j"),))
    assert made.mirrors == (model.Mirror("v2", 10_000),)


def test_a_rule_for_one_workload_comes_before_the_rule_for_all(tmp_path: Path) -> None:
    own = (CONFIG / "services" / "customers.yaml").read_text().partition("---\n")[0]
    own = own.replace("name: customers", "name: of-payments").replace("= 1024", "= 7")
    own = own.replace("maxConnections: 1024", "maxConnections: 7")
    own = own.replace(
        "  trafficPolicy:",
        "  workloadSelector: {matchLabels: {app: payments}}\n  trafficPolicy:",
        1,
    )
    mesh = _mesh(_config(tmp_path, LAST, rule=own))
    assert _target(mesh, "payments").traffic.pool.connections_max == 7
    assert _target(mesh, "transfers").traffic.pool.connections_max == 1024


def test_each_instance_with_sockets_has_a_proxy(tmp_path: Path) -> None:
    parsed = resources.parse(documents.read_folder(CONFIG))
    second = {
        "address": "127.0.0.1:2",
        "app_sockets": ["/r/in.sock"],
        "outbound_socket": "/r/out.sock",
        "admin_socket": "/r/admin.sock",
    }
    made = resolve(Inputs(parsed, contracts.load(), _places(TWO[0], second)))  # pyright: ignore[reportArgumentType]
    found = [each for each in made.sidecars if each.workload.name == "customers"]
    assert [each.workload.node for each in found] == ["customers-0", "customers-1"]
    assert [each.listen for each in found] == [
        model.Address("127.0.0.1", 1),
        model.Address("127.0.0.1", 2),
    ]
    assert found[0].grants == found[1].grants
    made_for = snapshots(made, PassedOn("true"), secret_files(tmp_path))
    written = {path.parent.name for path in write(made_for.values(), tmp_path)}
    assert written >= {"customers", "customers-1"}


BY_PATH = f"match: [{{uri: {{exact: {SERVICE}/CheckDebit}}}}]"
REFUSED = [
    (
        "a host of another service",
        LAST.replace(HOST, "payments.bp.svc.cluster.local", 1),
        "set cust",
    ),
    ("an unknown subset", LAST.replace(f"host: {HOST}", f"host: {HOST}, subset: v3"), "use v1, v2"),
    ("an unknown method", _route("match: [{uri: {exact: /bp.x/Y}}]") + LAST, "has no method at"),
    (
        "an unknown caller",
        _route("match: [{sourceLabels: {app: paymens}}]") + LAST,
        "mean payments",
    ),
    (
        "a caller that does not call it",
        _route("match: [{sourceLabels: {app: audit}}]") + LAST,
        "audit does not call customers",
    ),
    ("no last route", _route(BY_PATH), "add a last route without match"),
    ("a route after the last", LAST + LAST, "no request reaches this route: http.0 comes before"),
    (
        "a route whose match is narrower than that of an earlier one",
        _route(f"match: [{{uri: {{prefix: {SERVICE}/}}}}]") + _route(BY_PATH) + LAST,
        "no request reaches this route: http.0",
    ),
    (
        "one of two matches that an earlier route takes",
        _route(BY_PATH)
        + _route(f"match: [{{uri: {{exact: {SERVICE}/CheckDebit}}}}, {{method: {{exact: X}}}}]")
        + LAST,
        "no request reaches this match",
    ),
    ("a mirror to the same instances", _route(f"mirror: {{host: {HOST}}}"), "set a subset"),
    ("another path", _route("rewrite: {uri: /x}"), "one path, that of its contract"),
    ("a query", _route("match: [{queryParams: {a: {exact: b}}}]") + LAST, "gRPC has no query"),
    (
        "a delay that is too long",
        _route("fault: {delay: {fixedDelay: 5s, percentage: {value: 1}}}"),
        "shorter than the timeout",
    ),
    ("no timeout", LAST.replace("timeout: 6s, ", ""), "Istio never ends it"),
    ("no conditions of retries", LAST.replace(', retryOn: "connect-failure"', ""), "set retryOn"),
    (
        "case without a path",
        _route("match: [{ignoreUriCase: true}]") + LAST,
        "no effect without uri",
    ),
    (
        "case of a regex",
        _route("match: [{uri: {regex: '/[Z-a]+.*'}, ignoreUriCase: true}]") + LAST,
        "no effect on a regex",
    ),
    (
        "a class that Python reads differently",
        _route("match: [{uri: {regex: '/(a|[[:alpha:]]+)'}}]") + LAST,
        "has two meanings",
    ),
    (
        "a repetition that Python reads differently",
        _route("match: [{uri: {regex: '/a{,2}'}}]") + LAST,
        "has two meanings",
    ),
    (
        "a repeated group, which Python could try for years",
        _route("match: [{uri: {regex: '/(([a-zA-Z.0-9/]+)+)+!'}}]") + LAST,
        "a repeated group",
    ),
    (
        "many repetitions",
        _route("match: [{uri: {regex: '.*.*.*.*!'}}]") + LAST,
        "at most 3 groups and repetitions",
    ),
    ("a flag of Python", _route("match: [{uri: {regex: '(?x)/( a+ ) +'}}]") + LAST, "RE2"),
    (
        "a success instead of a call",
        _route("fault: {abort: {httpStatus: 200, percentage: {value: 1}}}"),
        "greater than or equal to 400",
    ),
    ("no retries", LAST.replace(f", {RETRIES}", ""), "without it Istio retries twice"),
    ("weights of 0", _route("name: a", f"{_to('v1', 0)}, {_to('v2', 0)}"), "add up to 0"),
    (
        "a weight that is not set",
        _route("name: a", f"{_to('v1', 1)}, {{destination: {{host: {HOST}}}}}"),
        "set every weight",
    ),
    (
        "two conditions",
        _route("match: [{uri: {exact: /a, prefix: /b}}]") + LAST,
        "only one of exact",
    ),
    ("no condition", _route("match: [{uri: {}}]") + LAST, "set exact, prefix or regex"),
    ("1,001 times", _route("match: [{uri: {regex: 'a{1001}'}}]") + LAST, "at most 1000 times"),
    ("a reference", _route(r"match: [{uri: {regex: '(a)\1'}}]") + LAST, r"RE2, which Envoy uses"),
    ("a possessive", _route("match: [{uri: {regex: 'a++'}}]") + LAST, "RE2, which Envoy uses"),
    ("a look-ahead", _route("match: [{uri: {regex: '(?!a)'}}]") + LAST, "RE2"),
    (
        "an expression that is none",
        _route("match: [{uri: {regex: '('}}]") + LAST,
        "is not a regular",
    ),
    (
        "a share of 0",
        _route("fault: {abort: {httpStatus: 503, percentage: {value: 0}}}"),
        "more than 0",
    ),
    (
        "a fine share",
        _route("fault: {abort: {httpStatus: 503, percentage: {value: 0.00001}}}"),
        "four decimal",
    ),
    (
        "two codes",
        _route("fault: {abort: {httpStatus: 503, grpcStatus: ABORTED, percentage: {value: 1}}}"),
        "set either httpStatus",
    ),
    ("an identity", _route("headers: {request: {set: {x-bp-subject: a}}}"), "cannot be changed"),
    ("an error", _route("headers: {response: {set: {grpc-status-details-bin: a}}}"), "be changed"),
    ("a part of gRPC", _route("headers: {request: {set: {grpc-tags-x: a}}}"), "cannot be changed"),
    ("bytes of gRPC", _route("headers: {request: {add: {x-bin: a}}}"), "cannot be changed"),
    (
        "an origin that may read",
        _route('headers: {response: {set: {access-control-allow-origin: "https://a.b"}}}'),
        "cannot be changed",
    ),
    ("a partner's key", _route("headers: {request: {set: {x-api-key: a}}}"), "cannot be changed"),
    (
        "what a browser keeps",
        _route("headers: {response: {set: {cache-control: public}}}"),
        "cannot be changed",
    ),
    ("another verb", _route("headers: {request: {set: {x-http-method: a}}}"), "cannot be changed"),
    ("a command of Envoy", _route('headers: {request: {set: {x-a: "%REQ(a)%"}}}'), "should match"),
    ("a delegate", _route("delegate: {name: a}"), "routes cannot form a cycle"),
    ("a redirect", _route("redirect: {uri: /a}"), "is refused: callers inside the mesh"),
    ("a misspelt field", _route("mirorPercentage: {value: 1}"), "did you mean mirrorPercentage?"),
]


@pytest.mark.parametrize(("case", "routes", "problem"), REFUSED, ids=[each[0] for each in REFUSED])
def test_routes_that_cannot_work_are_refused(
    tmp_path: Path, case: str, routes: str, problem: str
) -> None:
    with pytest.raises((ConfigFault, Faults)) as raised:
        _mesh(_config(tmp_path, routes))
    lines = [line for line in str(raised.value).splitlines() if problem in line]
    assert lines, (case, str(raised.value))
    assert all("customers.yaml:" in line for line in lines)


def test_a_ring_that_would_fill_the_memory_of_each_proxy_is_refused(tmp_path: Path) -> None:
    large = SUBSETS.replace("minimumRingSize: 64", "minimumRingSize: 65537")
    with pytest.raises((ConfigFault, Faults), match="less than or equal to 65536"):
        _mesh(_config(tmp_path, LAST, subsets=large))


def test_only_the_provider_of_tokens_has_the_gateways_keys(tmp_path: Path) -> None:
    """With the keys of another partner, that partner could act as every customer."""
    config = tmp_path / "config"
    shutil.copytree(CONFIG, config)
    for name, other in (("oauth", "sms"), ("sms", "oauth")):
        path = config / "partners" / f"{name}.yaml"
        text = path.read_text()
        path.write_text(text.replace(f"credentialName: {name}", f"credentialName: {other}"))
    with pytest.raises(ConfigFault, match="would sign customers' tokens") as raised:
        _mesh(config)
    assert str(raised.value).startswith(f"{config / 'gateway.yaml'}:27:")


def test_a_copy_of_a_transfer_is_refused(tmp_path: Path) -> None:
    config = tmp_path / "config"
    shutil.copytree(CONFIG, config)
    path = config / "services" / "payments.yaml"
    before, _, rest = path.read_text().partition("---\n")
    host = "payments.bp.svc.cluster.local"
    mirror = f"      mirror: {{host: {host}, subset: v2}}\n"
    path.write_text(f"{before}{SUBSETS}---\n{rest}{mirror}")
    with pytest.raises(ConfigFault, match="CreateInterbankTransfer would be executed twice"):
        _mesh(config)
