"""Which instances drain by an SRE's decision: they finish their calls and get no new ones.

The stack's endpoints file says which instances exist; `drained.json` says which of them drain. It
survives a restart of the control plane. An entry whose instance is gone has no effect.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mesh.controlplane.ingest.endpoints import Endpoints, InstancePlace, ServicePlace
from mesh.pilot.kept_file import KeptFile, text

READY, DRAINING = "READY", "DRAINING"
Marks = Mapping[str, bool]
"""Instance, such as customers-1 -> whether it drains even if no other one is ready."""


class LastInstance(ValueError):
    """The instance is the last ready one of its service: without it, every call would fail."""


class UnknownInstance(LookupError):
    """A service has no such instance; `bpctl mesh describe SERVICE` lists them."""


class Drained:
    """The file with the instances that drain."""

    def __init__(self, file: Path) -> None:
        self._file = KeptFile(file, _entries, _mark, dict)

    def marks(self) -> dict[str, bool]:
        """Return the instances that drain. What cannot be read is set aside."""
        return dict(self._file.read())

    def reports(self) -> list[str]:
        """Return what an SRE must look at: an instance of a lost entry takes calls again."""
        return self._file.reports()

    def mark(self, instance: str, *, forced: bool) -> None:
        """Let an instance drain."""
        self._file.write({**self.marks(), instance: forced}.items())

    def unmark(self, instance: str) -> None:
        """Let an instance take calls again; nothing happens if it does not drain."""
        before = self.marks()
        if instance in before:
            self._file.write(each for each in before.items() if each[0] != instance)


def _entries(raw: Any) -> list[Any]:
    if not isinstance(raw, dict):
        raise ValueError("it is no object")
    return list(raw.items())


def _mark(raw: Any) -> tuple[str, bool]:
    instance, forced = raw
    if not isinstance(forced, bool):
        raise ValueError(f"{forced!r:.40} is neither true nor false")
    return text(instance), forced


def with_drained(endpoints: Endpoints, marks: Marks) -> Endpoints:
    """Return the addresses with the state of each drained instance."""
    if not marks:
        return endpoints
    services = {name: _service(name, place, marks) for name, place in endpoints.services.items()}
    return endpoints.model_copy(update={"services": services})


def _service(name: str, place: ServicePlace, marks: Marks) -> ServicePlace:
    """Return a service with the state of its instances. If none would be ready, for example because
    the others have stopped since, only the forced ones drain."""
    states = [(f"{name}-{number}", each) for number, each in place.numbered()]
    if not any(node in marks for node, _ in states):
        return place
    left = any(each.state == READY and node not in marks for node, each in states)
    drains = {node for node, _ in states if node in marks and (left or marks[node])}
    made = [
        each.model_copy(update={"state": DRAINING}) if node in drains else each
        for node, each in states
    ]
    return place.model_copy(update={"mtls": None, "instances": made})


def require_other(endpoints: Endpoints, marks: Marks, instance: str) -> None:
    """Raise UnknownInstance, or LastInstance if no other instance of its service is ready."""
    service, place = _place(endpoints, instance)
    stopped = {*marks, instance}
    others = [e for number, e in place.numbered() if f"{service}-{number}" not in stopped]
    if not any(each.state == READY for each in others):
        raise LastInstance(
            f"{instance} is the last ready instance of {service}: every call would fail without "
            "it. Start another one first, or run `bpctl mesh drain --force`"
        )


def instance_place(endpoints: Endpoints, instance: str) -> InstancePlace:
    """Return one instance, such as customers-1. Raises UnknownInstance."""
    service, place = _place(endpoints, instance)
    return next(e for number, e in place.numbered() if f"{service}-{number}" == instance)


def _place(endpoints: Endpoints, instance: str) -> tuple[str, ServicePlace]:
    service = instance.rpartition("-")[0]
    place = endpoints.services.get(service)
    names = [f"{service}-{number}" for number, _ in place.numbered()] if place else []
    if place is None or instance not in names:
        known = ", ".join(names) or ", ".join(sorted(endpoints.services))
        raise UnknownInstance(f"there is no instance {instance}; there are {known}")
    return service, place
