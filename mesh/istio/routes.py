"""The VirtualService of each service: the rules of SREs in mesh/config, with each method's timeout.

Istio does not merge two VirtualServices of one host in sidecars. So the resource here has the name
of the one in mesh/config, contains its rules, and replaces it on a cluster. Each rule is repeated
for the methods that it may match, with the shorter of its timeout and the method's deadline.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from mesh.istio.kinds import DERIVED, HOSTS, NETWORKING, Kind, duration, resource
from mesh.istio.matches import narrowed
from services.contracts import MethodContract

GRACE_MS = 500
"""A sidecar ends a call this long after the deadline, so that the service's own answer wins."""
OTHER_METHODS_MS = 15_000
"""The timeout of methods outside the contract; their service's sidecar refuses them."""
_MS = {"h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}

Rule = dict[str, Any]


def virtual_services(
    contracts: Mapping[str, MethodContract], written: Iterable[Kind]
) -> Iterator[Kind]:
    """Yield one VirtualService for each service; `written` has the resources of mesh/config."""
    given = {host: each for each in written for host in _hosts(each)}
    for service in sorted({each.deployable for each in contracts.values()}):
        host = f"{service}{HOSTS}"
        by_sre = given.get(host)
        deadlines = {c.path: c.deadline_ms for c in contracts.values() if c.deployable == service}
        name = by_sre["metadata"]["name"] if by_sre else service
        http = [rule for each in rules_of(by_sre, host) for rule in with_timeouts(each, deadlines)]
        annotations = {**DERIVED, **(by_sre["metadata"].get("annotations", {}) if by_sre else {})}
        spec = {"hosts": [host], "http": http}
        yield resource(NETWORKING, "VirtualService", name, spec, annotations=annotations)


def rules_of(by_sre: Kind | None, host: str) -> list[Rule]:
    """Return the rules of SREs for a host; without any, one that sends everything to the host."""
    rules: list[Rule] = by_sre["spec"]["http"] if by_sre else [{}]
    return [_explicit(rule, host) for rule in rules]


def with_timeouts(rule: Rule, deadlines: Mapping[str, int]) -> Iterator[Rule]:
    """Yield the rule for the methods of each deadline, then for all other methods."""
    asked = milliseconds(rule["timeout"]) if "timeout" in rule else None
    groups: dict[int, list[Rule]] = defaultdict(list)
    for path, deadline_ms in deadlines.items():
        if matches := narrowed(rule.get("match"), path):
            limit = deadline_ms + GRACE_MS
            groups[limit if asked is None else min(asked, limit)].extend(matches)
    for timeout_ms in sorted(groups):
        yield {"match": groups[timeout_ms], **_rest(rule), "timeout": duration(timeout_ms)}
    same = {"match": rule["match"]} if "match" in rule else {}
    yield {**same, **_rest(rule), "timeout": rule.get("timeout", duration(OTHER_METHODS_MS))}


def _hosts(written: Kind) -> list[str]:
    return written["spec"]["hosts"] if written["kind"] == "VirtualService" else []


def _explicit(rule: Rule, host: str) -> Rule:
    # Istio retries twice where a rule says nothing, so each rule says it.
    return {"retries": {"attempts": 0}, "route": [{"destination": {"host": host}}], **rule}


def _rest(rule: Rule) -> Rule:
    return {key: value for key, value in rule.items() if key not in ("match", "timeout")}


def milliseconds(span: str) -> int:
    """Return a duration such as "1m30s" in milliseconds."""
    parts = re.findall(r"([0-9.]+)(ms|h|m|s)", span)
    return round(sum(float(number) * _MS[unit] for number, unit in parts))
