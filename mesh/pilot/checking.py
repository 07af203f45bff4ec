"""Has Envoy validate what is new in a compiled configuration, before any proxy gets it."""

from collections.abc import Iterable

from mesh.controlplane.deliver.packed import Kind, Packed
from mesh.controlplane.deliver.validation import Refusal
from mesh.controlplane.deliver.warm import Validator
from mesh.pilot.compiling import Compiled
from mesh.pilot.findings import Finding, Refused

ACCEPTED_MAX = 20_000
"""Resources that Envoy is known to accept; all are forgotten when there are more."""
_Key = tuple[Kind, str, str]


class Checker:
    """Asks Envoy about each resource once."""

    def __init__(self, validator: Validator) -> None:
        self._validator = validator
        self._accepted: set[_Key] = set()

    async def check(self, compiled: Compiled) -> None:
        """Return if Envoy accepts every resource. Raises Refused with its reasons."""
        new = {_key(each): each for each in _all(compiled) if _key(each) not in self._accepted}
        refused = await self._validator.validate(new.values())
        if refused:
            raise Refused([_finding(each) for each in refused])
        if len(self._accepted) > ACCEPTED_MAX:
            self._accepted.clear()
        self._accepted |= new.keys()


def _all(compiled: Compiled) -> Iterable[Packed]:
    for node in compiled.nodes.values():
        for named in node.resources.values():
            yield from named.values()


def _key(resource: Packed) -> _Key:
    return resource.kind, resource.name, resource.version


def _finding(refusal: Refusal) -> Finding:
    return Finding("", 0, f"Envoy refuses the {refusal.kind} {refusal.name}: {refusal.reason}")
