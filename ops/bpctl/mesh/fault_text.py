"""An injected fault in the configuration: a delay or an abort in the routes of a host. Pure.

Every edit inserts text and replaces none, so removing the inserted texts undoes it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml
from yaml.nodes import MappingNode, SequenceNode

from mesh.istio.matches import narrowed
from ops.bpctl.mesh import yaml_text
from ops.bpctl.mesh.canary_text import SERVICE_HOSTS
from ops.bpctl.mesh.yaml_text import ROUTES, CannotEdit, Edit, Files, Object

WIDE = 1 << 20
"""No line of an inserted text is folded."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault for a share of the calls. `abort` is an HTTP status or a gRPC code."""

    percent: float
    delay: str = ""
    abort: str = ""

    @property
    def value(self) -> dict[str, Any]:
        """The fault as Istio writes it."""
        share = {"value": int(self.percent) if self.percent.is_integer() else self.percent}
        made: dict[str, Any] = {}
        if self.delay:
            made["delay"] = {"fixedDelay": self.delay, "percentage": share}
        if self.abort:
            numeric = self.abort.isdigit()
            code = {"httpStatus": int(self.abort)} if numeric else {"grpcStatus": self.abort}
            made["abort"] = {**code, "percentage": share}
        return made


@dataclass(frozen=True, slots=True)
class Injected:
    """The files with a fault, and each inserted text with its file."""

    files: Files
    added: tuple[tuple[str, str], ...]


def host_of(files: Files, name: str) -> str:
    """Return the host of a service or partner: its host, or the name of its VirtualService.

    Raises CannotEdit with the names that exist.
    """
    known = {each.name: each.host for each in yaml_text.objects(files, ROUTES)}
    if name in known.values():
        return name
    if name not in known:
        raise CannotEdit(f"no service or partner is called {name}; there are {', '.join(known)}")
    return known[name]


def is_partner(host: str) -> bool:
    """Return whether a host is outside the mesh."""
    return not host.endswith(SERVICE_HOSTS)


def injected(files: Files, host: str, path: str, fault: Fault, note: str) -> Injected:
    """Return the files with a fault for one path, or for every call if `path` is "".

    `note` becomes a comment, by which the inserted texts differ from all others.
    """
    edits = [
        (each.file, edit)
        for each in yaml_text.of_host(files, ROUTES, host)
        for edit in _edits(each, path, fault, note)
    ]
    if not edits:
        raise CannotEdit(f"no route of {host} is for {path or 'any call'}")
    return Injected(
        yaml_text.edited_files(files, edits), tuple((file, edit.text) for file, edit in edits)
    )


def _edits(each: Object, path: str, fault: Fault, note: str) -> Iterator[Edit]:
    routes = yaml_text.items(each.spec, "http", each.file)
    found = yaml_text.entry(each.spec, "http")
    if found is None or not isinstance(found[1], SequenceNode):
        raise CannotEdit(f"{each.file}: http is no list")
    for node in routes:
        value = yaml_text.value_of(node)
        kept = narrowed(value.get("match"), path) if path else value.get("match")
        if kept == [] and path:
            continue
        if not path or kept == value.get("match"):
            yield _in_place(each, node, value, fault, note)
        else:
            copy = {"match": kept, "fault": fault.value} | {
                key: one for key, one in value.items() if key not in ("match", "fault", "name")
            }
            yield yaml_text.inserted_item(found[1], node, _flow(copy), note)


def _in_place(
    each: Object, node: MappingNode, value: dict[str, Any], fault: Fault, note: str
) -> Edit:
    if "fault" in value:
        place = f"{each.file}:{yaml_text.line(node)}"
        raise CannotEdit(f"{place}: the route already has a fault; remove it first")
    return yaml_text.inserted_first(node, f"fault: {_flow(fault.value)}", note)


def _flow(value: Any) -> str:
    return yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=WIDE).strip()
