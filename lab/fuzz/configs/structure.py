"""Changes of whole resources, and of the text of a file."""

import copy
from typing import Any

from hypothesis import strategies as st

from lab.fuzz.configs import objects, values
from lab.fuzz.configs.fields import leaves
from lab.fuzz.configs.repository import Files, Resource, of_kind
from mesh.controlplane.ingest import fields
from mesh.controlplane.ingest.shapes import SPECS

Draw = Any
"""The function with which hypothesis draws a value."""
EXTRA = "random.yaml"
_OTHER_HOSTS = ("payments.bp.svc.cluster.local", "fraud.example", "nobody.example", "*.example")
_APPS = ("payments", "customers", "gateway", "nobody")
_VALKEY = "./valkey.bp.internal"
_KINDS = [kind for _, kind in SPECS]


def object_of(api: str, kind: str, name: str, spec: Any, **metadata: Any) -> Resource:
    """Return a resource."""
    named = {"name": name, "namespace": "bp", **metadata}
    return {"apiVersion": api, "kind": kind, "metadata": named, "spec": spec}


def policy(name: str, spec: Any, **metadata: Any) -> Resource:
    """Return an AuthorizationPolicy."""
    return object_of("security.istio.io/v1", "AuthorizationPolicy", name, spec, **metadata)


def telemetry(app: str, expression: str) -> Resource:
    """Return a Telemetry for one workload."""
    logging = [{"providers": [{"name": "envoy"}], "filter": {"expression": expression}}]
    spec = {"selector": {"matchLabels": {"app": app}}, "accessLogging": logging}
    return object_of("telemetry.istio.io/v1", "Telemetry", f"log-{app}", spec)


def rule_of(made: Files, host: str, kind: str) -> Resource:
    """Return the VirtualService or the DestinationRule of a host."""
    for each in of_kind(made, kind):
        if host in (each["spec"].get("host"), *each["spec"].get("hosts", ())):
            return each
    raise LookupError(host)


def added(draw: Draw, made: Files) -> None:
    """Add what the control plane mostly accepts."""
    draw(st.sampled_from([_policy, _pair, _log, _labels, _reach, _order, _host, _condition]))(
        draw, made
    )


def _dry_run(draw: Draw) -> dict[str, Any]:
    value = draw(st.sampled_from(["true", "true", "false"]))
    return draw(st.sampled_from([{}, {"annotations": {"istio.io/dry-run": value}}]))


def _extra(made: Files, *found: Resource) -> None:
    """Add resources; each has another name."""
    extra = made.setdefault(EXTRA, [])
    for each in found:
        each["metadata"]["name"] += f"-{len(extra)}"
        extra.append(each)


def _policy(draw: Draw, made: Files) -> None:
    app = draw(st.sampled_from(objects.SERVICES))
    _extra(made, policy("a", draw(objects.policies(app)), **_dry_run(draw)))


def _pair(draw: Draw, made: Files) -> None:
    """Add a policy and the opposite one."""
    first = draw(objects.policies(draw(st.sampled_from(objects.SERVICES))))
    action = {"ALLOW": "DENY", "DENY": "ALLOW"}[first["action"]]
    second = {**copy.deepcopy(first), "action": action}
    _extra(made, policy("a", first), policy("b", second, **_dry_run(draw)))


def _log(draw: Draw, made: Files) -> None:
    app, text = st.sampled_from(objects.SERVICES), st.sampled_from(values.EXPRESSIONS)
    _extra(made, telemetry(draw(app), draw(text)))


def _labels(draw: Draw, made: Files) -> None:
    field = draw(st.sampled_from(["labels", "annotations"]))
    _any(draw, made)["metadata"][field] = draw(values.good(("Metadata", field)))


def _reach(draw: Draw, made: Files) -> None:
    kind = draw(st.sampled_from(["VirtualService", "DestinationRule", "ServiceEntry"]))
    one = draw(st.sampled_from(list(of_kind(made, kind))))
    one["spec"]["exportTo"] = draw(st.sampled_from([["."], ["*"]]))
    if kind == "VirtualService":
        one["spec"]["gateways"] = ["mesh"]


def _order(draw: Draw, made: Files) -> None:
    """Put the resources of a file, or of all files, into another order."""
    for found in draw(st.sampled_from([[each] for each in made.values()] + [[*made.values()]])):
        found.reverse()


def _host(draw: Draw, made: Files) -> None:
    """Let a workload call one more host, or list its hosts in another order."""
    own = [each for each in of_kind(made, "Sidecar") if "workloadSelector" in each["spec"]]
    hosts = draw(st.sampled_from(own))["spec"]["egress"][0]["hosts"]
    hosts.reverse()
    if _VALKEY not in hosts:
        hosts.append(_VALKEY)


def _condition(draw: Draw, made: Files) -> None:
    """Add a route with a regular expression for a header."""
    http = draw(st.sampled_from(list(of_kind(made, "VirtualService"))))["spec"]["http"]
    match = {draw(st.sampled_from(["headers", "withoutHeaders"])): {"x-c": {"regex": None}}}
    next(iter(match.values()))["x-c"]["regex"] = draw(values.regexes())
    http.insert(0, {**copy.deepcopy(http[-1]), "match": [match]})


def broken(draw: Draw, made: Files) -> None:
    """Make references to nothing, conflicts, unknown kinds and unknown or refused fields."""
    draw(st.sampled_from([_remove, _duplicate, _conflict, _redirect, _unknown, _rename, _field]))(
        draw, made
    )


def _any(draw: Draw, made: Files) -> Resource:
    found = [each for each in draw(st.sampled_from([*made.values()])) if "spec" in each]
    return draw(st.sampled_from(found)) if found else next(of_kind(made, "Gateway"))


def _remove(draw: Draw, made: Files) -> None:
    found = draw(st.sampled_from([each for each in made.values() if each]))
    found.pop(draw(st.integers(0, len(found) - 1)))


def _duplicate(draw: Draw, made: Files) -> None:
    one = copy.deepcopy(_any(draw, made))
    if draw(st.booleans()):
        one["metadata"]["name"] = "second"
    made.setdefault(EXTRA, []).append(one)


def _conflict(draw: Draw, made: Files) -> None:
    """Add a second rule for a host: with another value, for one workload or by a wildcard."""
    kind = draw(st.sampled_from(["VirtualService", "DestinationRule"]))
    one = copy.deepcopy(draw(st.sampled_from(list(of_kind(made, kind)))))
    one["metadata"]["name"] = "second"
    if kind == "DestinationRule":
        app = draw(st.sampled_from(_APPS))
        one["spec"]["workloadSelector"] = {"matchLabels": {"app": app}}
    if draw(st.booleans()):
        _set_host(one, draw(st.sampled_from(["*.bp.svc.cluster.local", "*.example"])))
    made.setdefault(EXTRA, []).append(one)


def _set_host(one: Resource, host: str) -> None:
    if one["kind"] == "VirtualService":
        one["spec"]["hosts"] = [host]
    else:
        one["spec"]["host"] = host


def _redirect(draw: Draw, made: Files) -> None:
    """Route a host to another one, which may route back, or mirror it to itself."""
    one = draw(st.sampled_from(list(of_kind(made, "VirtualService"))))
    host = draw(st.sampled_from([*_OTHER_HOSTS, *one["spec"]["hosts"]]))
    route = one["spec"]["http"][-1]
    if draw(st.booleans()):
        route["mirror"] = {"host": host}
        return
    route["route"] = [{"destination": {"host": host}}]
    for other in of_kind(made, "VirtualService"):
        if other["spec"]["hosts"] == [host]:
            back = {"host": one["spec"]["hosts"][0]}
            other["spec"]["http"][-1]["route"] = [{"destination": back}]


def _unknown(draw: Draw, made: Files) -> None:
    """Add a resource of a kind or a version that is not read."""
    kind = draw(st.sampled_from([*sorted(fields.refused_kinds()), *_KINDS, "Pod", "é", ""]))
    api = draw(st.sampled_from(["networking.istio.io/v1", "networking.istio.io/v1beta1", "v1", ""]))
    made.setdefault(EXTRA, []).append(object_of(api, kind, "a", {}))


def _rename(draw: Draw, made: Files) -> None:
    """Give a host, an app or a subset a name that nothing has."""
    one = _any(draw, made)
    found = [(f, p, v) for f, p, v in leaves(one) if f[1].endswith(_NAMED)]
    if found:
        _, place, value = draw(st.sampled_from(found))
        put(one, place, _renamed(value))


_NAMED = ("host", "hosts", "matchLabels", "workloadSelector.labels", "credentialName", "subset")


def _renamed(value: Any) -> Any:
    if isinstance(value, list):
        return [*value[:-1], "./nobody.example"]
    if isinstance(value, dict):
        return dict.fromkeys(value, "nobody")
    return "nobody.example"


def _field(draw: Draw, made: Files) -> None:
    """Set a field that is refused, or that no kind has."""
    one = _any(draw, made)
    refused = [each.partition("=")[0] for each in fields.refused_fields(one["kind"])]
    path = draw(st.sampled_from([*refused, "nobody", "timeouts", "é"])).split(".")
    inner: Any = one["spec"]
    for part in path[:-1]:
        inner = inner.setdefault(part, {}) if isinstance(inner, dict) else inner
        inner = inner[0] if isinstance(inner, list) and inner else inner
    if isinstance(inner, dict):
        inner[path[-1]] = draw(st.sampled_from([1, "a", {}, True, ["a"], None]))


def put(one: Resource, place: tuple[str | int, ...], value: Any) -> None:
    """Set the value at a place."""
    inner: Any = one
    for part in place[:-1]:
        inner = inner[part]
    inner[place[-1]] = copy.deepcopy(value)


def damaged(draw: Draw, text: bytes) -> bytes:
    """Return the text of a file with an error that an editor or a disk could make."""
    lines = text.split(b"\n")
    at = draw(st.integers(0, len(lines) - 1))
    sort = draw(st.sampled_from(["drop", "twice", "cut", "indent", "bytes", "swap", "tabs"]))
    if sort == "drop":
        del lines[at]
    elif sort == "twice":
        lines.insert(at, lines[at])
    elif sort == "cut":
        return text[: draw(st.integers(0, len(text) - 1))]
    elif sort == "indent":
        lines[at] = b"  " + lines[at]
    elif sort == "bytes":
        place = draw(st.integers(0, len(text) - 1))
        new = draw(st.sampled_from([b"\x00", b"\xff", b"\x1b", b"\xc2\x85", b"&a ", b"*a ", b"!"]))
        return text[:place] + new + text[place:]
    elif sort == "swap":
        lines[at], lines[at - 1] = lines[at - 1], lines[at]
    else:
        lines[at] = b"\t" + lines[at]
    return b"\n".join(lines)
