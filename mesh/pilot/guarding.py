"""Which edits in place and timed removals are looked at for live payments that they would deny."""

import logging
from collections.abc import Awaitable, Callable

from mesh.controlplane.deliver.packed import Kind
from mesh.controlplane.translate.edge.names import JWT
from mesh.controlplane.translate.edge.routes import NAME as EDGE
from mesh.pilot.compiling import Compiled
from mesh.pilot.findings import Refused
from mesh.pilot.pilot import Approve

Guard = Callable[[], Awaitable[Approve]]
"""Returns what refuses an edit that would harm the calls of the last minutes. It asks every proxy
for its newest calls, which takes seconds while one of them hangs."""

log = logging.getLogger("control-plane")


def may_deny(before: Compiled, after: Compiled) -> bool:
    """Return whether a call may be denied after an edit that was allowed before.

    Most edits in place concern timeouts, retries or breakers: they need not wait for the guard.
    """
    return _permissions(before) != _permissions(after)


def harm(approve: Approve, before: Compiled, after: Compiled) -> list[str]:
    """Return why the step from `before` to `after` would be refused; nothing if it would not."""
    try:
        approve(before, after)
    except Refused as refused:
        # The last line advises the caller of an edit.
        return [each.problem for each in refused.findings[:-1]]
    except ValueError as error:
        return [str(error)]
    return []


def reporting(approve: Approve, name: str) -> Approve:
    """Return what logs the harm of a removal that goes ahead in any case."""

    def reported(before: Compiled, after: Compiled) -> None:
        for each in harm(approve, before, after):
            log.warning("the time of %s is up, so it is removed, although: %s", name, each)

    return reported


def _permissions(compiled: Compiled) -> object:
    """Return all that the rehearsal reads to decide whether calls are allowed."""
    mesh = compiled.mesh
    gateway = compiled.nodes.get(mesh.edge.workload.node)
    return (
        [
            (
                each.workload.name,
                each.policies,
                each.grants,
                [one.name for one in each.services],
                [one.host for one in each.partners],
            )
            for each in mesh.sidecars
        ],
        [each.name for each in mesh.edge.services],
        [each.host for each in mesh.edge.partners],
        mesh.edge.partner_principals,
        [(each.method, each.partners) for each in mesh.edge.routes],
        gateway and gateway.resources[Kind.EXTENSION].get(JWT),
        gateway and gateway.resources[Kind.LISTENER].get(EDGE),
    )
