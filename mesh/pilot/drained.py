"""Which instances drain by an SRE's decision: they finish their calls and get no new ones.

The stack's endpoints file says which instances exist; `drained.json` says which of them drain. It
survives a restart of the control plane. An entry whose instance is gone has no effect.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mesh.controlplane.ingest.endpoints import Endpoints, InstancePlace, ServicePlace

READY, DRAINING = "READY", "DRAINING"
_MODE = 0o600
Marks = Mapping[str, bool]
"""Instance, such as customers-1 -> whether it drains even if no other one is ready."""


class LastInstance(ValueError):
    """The instance is the last ready one of its service: without it, every call would fail."""


class UnknownInstance(LookupError):
    """A service has no such instance; `bpctl mesh describe SERVICE` lists them."""


class Drained:
    """The file with the instances that drain."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def marks(self) -> dict[str, bool]:
        """Return the instances that drain. A file that is no JSON object drains none."""
        try:
            found: Any = json.loads(self._file.read_bytes())
        except (FileNotFoundError, ValueError):
            return {}
        if not isinstance(found, dict):
            return {}
        return {str(name): bool(forced) for name, forced in found.items()}

    def mark(self, instance: str, *, forced: bool) -> None:
        """Let an instance drain."""
        self._write({**self.marks(), instance: forced})

    def unmark(self, instance: str) -> None:
        """Let an instance take calls again; nothing happens if it does not drain."""
        before = self.marks()
        if instance in before:
            self._write({name: forced for name, forced in before.items() if name != instance})

    def _write(self, marks: Marks) -> None:
        self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = self._file.with_name(f".{self._file.name}.draft")
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        with os.fdopen(os.open(draft, flags, _MODE), "w") as file:
            file.write(json.dumps(marks, indent=1, sort_keys=True) + "\n")
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._file)


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
            "it. Start another one first, or use --force"
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
