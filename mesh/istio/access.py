"""The callers of each service's methods as AuthorizationPolicies; all other calls are denied.

mesh/config denies everything by an empty policy. Each policy here allows the callers that a
method's contract names, and the gateway for methods that callers from outside use.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping

from mesh.istio.kinds import SECURITY, Kind, principal, resource, selector
from services.contracts import GATEWAY, Audience, MethodContract, spiffe_id

Contracts = Mapping[str, MethodContract]


def policies(contracts: Contracts) -> Iterator[Kind]:
    """Yield one policy for each service."""
    for service in sorted({each.deployable for each in contracts.values()}):
        methods = [each for each in contracts.values() if each.deployable == service]
        rules = [
            {
                "from": [{"source": {"principals": [principal(spiffe_id(n)) for n in callers]}}],
                "to": [{"operation": {"paths": paths}}],
            }
            for callers, paths in _by_callers(methods).items()
        ]
        spec = {"selector": selector(service), "action": "ALLOW", "rules": rules}
        yield resource(SECURITY, "AuthorizationPolicy", f"{service}-callers", spec)


def _by_callers(methods: list[MethodContract]) -> dict[tuple[str, ...], list[str]]:
    found: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for method in methods:
        edge = () if method.audience is Audience.INTERNAL else (GATEWAY,)
        found[tuple(sorted({*method.services, *edge}))].append(method.path)
    return found
