"""All facts of one proxy: the answers by the text of their question.

The questions come from the contracts and the hosts of mesh/config, never from the configuration
itself, so both control planes are asked the same.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from gateway.routes import GatewayRoute
from lab.conformance.facts import access, destinations, entrance, headers, routing
from lab.conformance.facts.calls import Call
from lab.conformance.facts.names import HOSTS
from lab.conformance.facts.proxy import Proxy, milliseconds

Facts = dict[str, Any]
UNKNOWN_PATH = "/bp.unknown.v1.UnknownService/Unknown"
UNKNOWN_HOST = "unknown.example"
STRANGERS = ("spiffe://bp.internal/ns/bp/sa/stranger", "spiffe://foreign.example/ns/bp/sa/gateway")


@dataclass(frozen=True)
class Questions:
    """What is asked about each proxy."""

    methods: Mapping[str, tuple[str, ...]]
    """The paths of each service's methods."""
    partners: tuple[str, ...]
    """The hosts of partners."""
    identities: tuple[str, ...]
    """The SPIFFE identities of all workloads."""
    headers: tuple[tuple[str, str], ...] = ()
    """Headers with which calls of services are asked about too."""


def of_sidecar(proxy: Proxy, asked: Questions) -> Facts:
    """Return the facts of a sidecar."""
    answers = (*_outbound(proxy, asked), *_inbound(proxy, asked))
    return {f"{proxy.workload} {question}": answer for question, answer in answers}


def _outbound(proxy: Proxy, asked: Questions) -> Iterator[tuple[str, Any]]:
    _, manager = proxy.outbound()
    table = proxy.route_table(manager)
    reached: dict[str, None] = {}
    for service, paths in asked.methods.items():
        for authority in (service, f"{service}{HOSTS}"):
            for path in (*paths, UNKNOWN_PATH):
                answer = routing.facts(table, Call(authority, path))
                reached.update(dict.fromkeys(answer.get("to", ())))
                if authority == service or answer != routing.facts(table, Call(service, path)):
                    yield f"calls {authority}{path}", _brief(answer)
    for service, paths in asked.methods.items():
        for path in paths:
            call = Call(service, path)
            if "to" in routing.facts(table, call):
                yield from _with_headers(table, call, asked)
    for host in (*asked.partners, UNKNOWN_HOST):
        answer = routing.facts(table, Call(host, "/v1/anything"))
        reached.update(dict.fromkeys(answer.get("to", ())))
        yield f"calls {host}", _brief(answer)
    yield from _reached(proxy, reached)


def _with_headers(table: Facts, call: Call, asked: Questions) -> Iterator[tuple[str, Any]]:
    for name, value in asked.headers:
        asking = replace(call, headers={name: value})
        question = f"{call.authority}{call.path} with {name}"
        yield f"calls {question}", _brief(routing.facts(table, asking))
        yield f"changes {question}", headers.facts(table, asking)


def _brief(answer: Facts) -> Any:
    return f"answers {answer['answer']}" if "answer" in answer else answer


def _reached(proxy: Proxy, reached: Iterable[str]) -> Iterator[tuple[str, Any]]:
    for name in reached:
        (cluster,) = [c for n, c in proxy.clusters.items() if routing.names.destination(n) == name]
        yield f"cluster {name}", destinations.facts(cluster, proxy.workload)


def _inbound(proxy: Proxy, asked: Questions) -> Iterator[tuple[str, Any]]:
    if proxy.workload not in asked.methods:
        return
    chain, manager = proxy.inbound()
    table = proxy.route_table(manager)
    for path in (*asked.methods[proxy.workload], UNKNOWN_PATH):
        call = Call(proxy.workload, path)
        found = routing.route_of(table, call)
        yield (
            f"serves {path}",
            {
                "callers": _callers(manager, found[1] if found else None, call, asked),
                "timeout_ms": routing.facts(table, call).get("timeout_ms"),
            },
        )
    yield "listens", _downstream(chain, manager, proxy.workload)


def _callers(manager: Facts, route: Facts | None, call: Call, asked: Questions) -> list[str]:
    admitted: list[str] = []
    for identity in (None, *asked.identities, *STRANGERS):
        if access.allows(manager, route, replace(call, identity=identity)):
            admitted.append("anyone" if identity is None else identity.rpartition("/")[2])
    return admitted


def _downstream(chain: Facts, manager: Facts, workload: str) -> Facts:
    config = chain.get("transport_socket", {}).get("typed_config", {})
    context = config.get("common_tls_context", {})
    shown = manager.get("set_current_client_cert_details", {})
    return {
        "client certificate": config.get("require_client_certificate", False),
        **destinations.tls(context, workload),
        "handshake_ms": milliseconds(chain.get("transport_socket_connect_timeout"), None),
        "caller's header": manager.get("forward_client_cert_details", "SANITIZE"),
        "caller's identity in the header": bool(shown.get("uri")),
        "logs": _logged(manager),
        "log fields": _log_fields(manager),
    }


def _logged(manager: Facts) -> list[str]:
    """Return the expressions that select what the access log gets."""
    filters = [each.get("filter", {}) for each in manager.get("access_log", ())]
    configs = [each.get("extension_filter", {}).get("typed_config", {}) for each in filters]
    return [" ".join(each["expression"].split()) for each in configs if "expression" in each]


def _log_fields(manager: Facts) -> list[str]:
    """Return the fields of the access log. On one machine they name the proxy, too."""
    configs = [each.get("typed_config", {}) for each in manager.get("access_log", ())]
    fields = [each["log_format"]["json_format"] for each in configs if "log_format" in each]
    return sorted(f"{key}: {one}" for each in fields for key, one in each.items() if key != "proxy")


def of_gateway(proxy: Proxy, routes: Iterable[GatewayRoute], policy: Mapping[str, Any]) -> Facts:
    """Return the facts of the gateway; `policy` is EdgePolicy as YAML has it."""
    chain, manager = proxy.inbound()
    table = proxy.route_table(manager)
    reached: dict[str, None] = {}
    found: Facts = {}
    listed = tuple(routes)
    for call in _edge_calls(listed):
        answer = routing.facts(table, call)
        reached.update(dict.fromkeys(answer.get("to", ())))
        found[_routed(call)] = _brief(answer)
    for each in listed:
        call = _edge_call(_example(each), each.verb)
        passing = _passing(manager, table, call, each, policy)
        found[f"gateway admits to {each.verb} {each.template}"] = passing
        found[f"gateway changes {each.verb} {each.template}"] = headers.facts(table, call)
        found[f"gateway reads of {each.verb} {each.template}"] = entrance.of_route(table, call)
    found.update((f"gateway {question}", answer) for question, answer in entrance.facts(proxy))
    reached.update(dict.fromkeys(entrance.key_clusters(proxy)))
    for question, answer in _reached(proxy, reached):
        found[f"gateway {question}"] = answer
    found["gateway listens"] = _downstream(chain, manager, proxy.workload)
    return found


def _routed(call: Call) -> str:
    special = [] if call.headers or call.verb == "CONNECT" else ["without a length"]
    two = ["to two hosts"] if "," in call.authority else []
    return " ".join(["gateway routes", call.verb, call.path, *special, *two]).strip()


def _edge_calls(routes: tuple[GatewayRoute, ...]) -> Iterator[Call]:
    for each in routes:
        yield _edge_call(_example(each), each.verb)
        if each.verb == "GET":
            yield _edge_call(_example(each), "HEAD")
    for template in dict.fromkeys(each.template for each in routes):
        (first, *_) = [each for each in routes if each.template == template]
        yield _edge_call(_example(first), "PUT")
        yield _edge_call(_example(first), "OPTIONS")
    yield _edge_call("/unknown", "GET")
    yield replace(_edge_call("/v1/accounts", "GET"), authority="one.example,two.example")
    yield Call("api.bp.example", "", "CONNECT")
    for each in routes:
        if each.accepts_large:
            yield Call("api.bp.example", _example(each), each.verb)


def _edge_call(path: str, verb: str) -> Call:
    return Call("api.bp.example", path, verb, headers={"content-length": "2"})


def _example(route: GatewayRoute) -> str:
    path = route.template
    for variable in route.variables:
        path = path.replace(f"{{{variable}}}", "one")
    return path


def _passing(
    manager: Facts, table: Facts, call: Call, each: GatewayRoute, policy: Mapping[str, Any]
) -> list[str]:
    found = routing.route_of(table, call)
    route = found[1] if found else None
    return [
        name
        for name, changes in _edge_callers(each, policy).items()
        if access.allows(manager, route, _changed(call, changes))
    ]


def _changed(call: Call, changes: dict[str, Any]) -> Call:
    return replace(call, **{**changes, "headers": {**call.headers, **changes.get("headers", {})}})


def _edge_callers(each: GatewayRoute, policy: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    token = {"iss": "https://oauth.example", "sub": "one", "aud": "https://api.bp.example"}
    partners = {
        f"partner {one['name']}": {"identity": one["principals"][0]} for one in policy["partners"]
    }
    return {
        "anyone": {},
        "the app's site": {"headers": {"origin": policy["cors"]["allowOrigins"][0]}},
        "a foreign site": {"headers": {"origin": "https://foreign.example"}},
        "a customer with the scopes": {"claims": {**token, "scope": " ".join(each.scopes)}},
        "a customer without a scope": {"claims": {**token, "scope": "other"}},
        "a foreign certificate": {"identity": STRANGERS[1]},
        **partners,
    }
