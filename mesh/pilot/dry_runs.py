"""What policies in dry run would decide: the calls that they matched in the last minutes. Pure.

A proxy counts the calls that a policy matches, but not whose they are. Whose they are follows from
the calls that the proxies count by caller and method.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from mesh.controlplane import model
from mesh.pilot.explain import matches
from mesh.pilot.traffic import LiveEdge, workload_of
from mesh.pilot.window import View
from services.contracts import spiffe_id


@dataclass(frozen=True, slots=True)
class Met:
    """The calls of one caller to one method that a policy matches, also from before the policy."""

    caller: str
    method: str
    calls: int


@dataclass(frozen=True, slots=True)
class DryRun:
    """One policy at one service. `calls` is what the proxies of the service have counted.

    If enforced, a policy that denies would deny these calls. One that allows would change nothing,
    because the contracts allow the same already.
    """

    policy: str
    service: str
    verdict: model.Verdict
    calls: int
    met: tuple[Met, ...]
    """Whose calls it matches; the most calls first."""


def dry_runs(mesh: model.Mesh, view: View, live: Iterable[LiveEdge]) -> list[DryRun]:
    """Return every policy in dry run, also without calls: it can be enforced."""
    counted, edges = view.dry_runs(), list(live)
    found: dict[tuple[str, str], DryRun] = {}
    for sidecar in mesh.sidecars:
        service = sidecar.workload.name
        for policy in (each for each in sidecar.policies if each.dry_run):
            calls = sum(
                number
                for (node, name), number in counted.items()
                if name == policy.name and workload_of(mesh, node) == service
            )
            met = sorted(_met(policy, service, edges), key=lambda each: -each.calls)
            found[policy.name, service] = DryRun(
                policy.name, service, policy.verdict, calls, tuple(met)
            )
    return [found[each] for each in sorted(found)]


def _met(policy: model.Policy, service: str, edges: Iterable[LiveEdge]) -> Iterator[Met]:
    for each in edges:
        if each.callee == service and matches(policy, spiffe_id(each.caller), each.method):
            yield Met(each.caller, each.method, each.calls)
