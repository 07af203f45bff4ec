"""Judges one configuration: refused at lines, or accepted by Envoy and the same each time.

A refusal names a file and a line. A resource that is absent has no line. Envoy decides on the
filter of the access log, as it does in `bpctl mesh check`.
"""

import asyncio
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from lab.fuzz.configs import repository
from lab.fuzz.configs.repository import Changed
from mesh.controlplane import model
from mesh.controlplane.deliver.nodes import Translation
from mesh.controlplane.deliver.packed import Kind, NodeSnapshot, Packed
from mesh.controlplane.deliver.snapshot import snapshots
from mesh.controlplane.deliver.validation import (
    Refusal,
    expression_refusal,
    unread_secrets,
)
from mesh.controlplane.deliver.warm import Validator
from mesh.controlplane.ingest import telemetry
from mesh.controlplane.ingest.faults import Absent, ConfigFault, Faults, Findings, MeshFault
from mesh.controlplane.ingest.remembered import Remembered
from mesh.controlplane.ingest.resources import Resource
from mesh.controlplane.passed_on import PassedOn
from mesh.controlplane.resolve.mesh import Inputs, resolve
from mesh.istio.files import documents
from services import contracts

_Nodes = Mapping[str, NodeSnapshot]
_Key = tuple[Kind, str, str]
_SHOWN_CHARS_MAX = 2000
_BATCH_MAX = 200
"""How many resources one Envoy validates."""


@dataclass(frozen=True)
class Verdict:
    """What became of a configuration. `problems` is empty if all is as it should be."""

    accepted: bool
    findings: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    validated: int = 0
    """How many resources Envoy read that it had not read before."""


@dataclass(frozen=True)
class _Compiled:
    parsed: list[Resource]
    mesh: model.Mesh
    passed_on: PassedOn
    nodes: _Nodes


class Judge:
    """Judges configurations one after the other. Resources of several are validated together."""

    def __init__(self, *, whole_every: int = 1) -> None:
        self._runner = asyncio.Runner()
        self._folder = tempfile.TemporaryDirectory(prefix="bp-configs-")
        self._root = Path(self._folder.name)
        self._validator = Validator(self._root / "validator")
        self._contracts = contracts.load()
        self._read, self._translation = Remembered(), Translation()
        self._known: set[_Key] = set()
        self._waiting: list[tuple[Packed, Changed]] = []
        self._whole_every, self._accepted = whole_every, 0

    def __enter__(self) -> Self:
        """Start the Envoys that wait."""
        self._runner.run(self._validator.start())
        return self

    def __exit__(self, *_: object) -> None:
        """End them."""
        try:
            self._runner.run(self._validator.close())
        finally:
            self._runner.close()
            self._folder.cleanup()

    def verdict(self, changed: Changed) -> Verdict:
        """Return the verdict on a configuration."""
        try:
            made = self._compiled(changed.content, self._read, self._translation)
        except (ConfigFault, MeshFault, Faults) as fault:
            return _refused(fault, changed)
        # Whatever else is raised is a problem of the control plane: it must name a finding.
        except Exception as defect:  # noqa: BLE001 it is the finding
            return Verdict(False, problems=(_crash("the check", defect),))
        new = self._new(made.nodes)
        # Two listeners with one address cannot wait for the same Envoy.
        listeners = [each for each in new.values() if each.kind is Kind.LISTENER]
        if refused := self._runner.run(self._validator.validate(listeners)):
            return self._refused_by_envoy(made, refused, len(listeners))
        self._known |= new.keys()
        self._waiting += [
            (each, changed) for each in new.values() if each.kind is not Kind.LISTENER
        ]
        self._accepted += 1
        whole = self._accepted % self._whole_every == 0
        problems = self._problems(changed, made) if whole else []
        return Verdict(True, problems=tuple(problems), validated=len(new))

    def settled(self) -> list[tuple[Changed, str]]:
        """Have Envoy validate what waits; return the configurations with what it refuses."""
        waiting, self._waiting = self._waiting, []
        return [
            (changed, f"Envoy refuses {_named(each)}: {reason}"[:_SHOWN_CHARS_MAX])
            for each, changed, reason in self._refused_of(waiting)
        ]

    def at_once(self, changed: Changed) -> Verdict:
        """Return the verdict on one configuration, with all that Envoy says."""
        found = self.verdict(changed)
        refused = tuple(problem for _, problem in self.settled())
        return replace(
            found, accepted=found.accepted and not refused, problems=found.problems + refused
        )

    def _refused_of(
        self, waiting: list[tuple[Packed, Changed]]
    ) -> Iterator[tuple[Packed, Changed, str]]:
        """Yield the refused resources; halves of what is refused are validated again."""
        for start in range(0, len(waiting), _BATCH_MAX):
            batch = waiting[start : start + _BATCH_MAX]
            reason = self._runner.run(self._validator.refusal([each for each, _ in batch]))
            if reason is None:
                continue
            if len(batch) == 1:
                self._known -= {_key(each) for each, _ in batch}
                yield (*batch[0], reason)
                continue
            half = len(batch) // 2
            yield from self._refused_of(batch[:half])
            yield from self._refused_of(batch[half:])

    def _compiled(
        self, content: Mapping[str, bytes], read: Remembered, translation: Translation
    ) -> _Compiled:
        findings, later, text = Findings(), Findings(), list[PassedOn]()
        parsed = read.of(content, findings)
        with later.noted():
            text.append(telemetry.passed_on(parsed))
        inputs = Inputs(parsed, self._contracts, repository.places())
        mesh = resolve(inputs, findings.followed_by(later))
        nodes = translation.node_snapshots(mesh, text[0])
        return _Compiled(parsed, mesh, text[0], nodes)

    def _new(self, nodes: _Nodes) -> dict[_Key, Packed]:
        return {
            key: each
            for node in nodes.values()
            for named in node.resources.values()
            for each in named.values()
            if (key := _key(each)) not in self._known and each.kind is not Kind.SECRET
        }

    def _refused_by_envoy(self, made: _Compiled, refused: list[Refusal], validated: int) -> Verdict:
        """Return the verdict; the check asks Envoy about expressions and names their lines."""
        faults = [
            str(telemetry.expression_fault(resource, reason))
            for resource, expression in telemetry.expressions(made.parsed)
            if (reason := expression_refusal(expression, self._root))
        ]
        others = [each for each in refused if not faults or each.kind != "listener"]
        problems = tuple(
            f"Envoy refuses the {each.kind} {each.name}: {each.reason}"[:_SHOWN_CHARS_MAX]
            for each in others
        )
        return Verdict(False, tuple(faults), problems, validated)

    def _problems(self, changed: Changed, made: _Compiled) -> list[str]:
        """Return what differs in a second translation, and what cannot be rendered."""
        found: list[str] = []
        try:
            again = self._compiled(changed.content, Remembered(), Translation())
        except Exception as defect:  # noqa: BLE001 it is the finding
            return [_crash("the second translation", defect)]
        found += _differences(made.nodes, again.nodes)
        try:
            snapshots(made.mesh, made.passed_on, unread_secrets(self._root))
        except Exception as defect:  # noqa: BLE001 it is the finding
            found.append(_crash("the translation for files", defect))
        try:
            self._render(changed.content)
        except Exception as defect:  # noqa: BLE001 it is the finding
            found.append(_crash("the rendering for Istio", defect))
        return found

    def _render(self, content: Mapping[str, bytes]) -> None:
        with tempfile.TemporaryDirectory(dir=self._root) as name:
            for path, body in content.items():
                file = Path(name, path)
                file.parent.mkdir(exist_ok=True, parents=True)
                file.write_bytes(body)
            documents(Path(name))


def _key(each: Packed) -> _Key:
    return each.kind, each.name, each.version


def _named(each: Packed) -> str:
    return f"the {each.kind.name.lower()} {each.name}"


def _crash(what: str, defect: Exception) -> str:
    place, trace = "", defect.__traceback__
    while trace is not None:
        place = f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"
        trace = trace.tb_next
    return f"{what} ends with {type(defect).__name__} at {place}: {defect}"[:_SHOWN_CHARS_MAX]


def _refused(fault: Exception, changed: Changed) -> Verdict:
    faults = fault.faults if isinstance(fault, Faults) else (fault,)
    problems = [text for each in faults if (text := misplaced(each, changed))]
    return Verdict(False, tuple(str(each) for each in faults), tuple(problems))


def misplaced(fault: Exception, changed: Changed) -> str | None:
    """Return what is wrong with a finding, or None."""
    if "\n" in str(fault) or not str(fault).isprintable():
        return f"a finding is not one printable line: {str(fault)!r}"
    if isinstance(fault, Absent):
        return None
    if not isinstance(fault, ConfigFault):
        return f"a finding has no place: {fault}"
    body = changed.content.get(fault.path.as_posix())
    if body is None:
        return f"a finding names another file: {fault}"
    if not 1 <= fault.line <= body.count(b"\n") + 1:
        return f"a finding names a line that the file does not have: {fault}"
    return None


def _differences(one: _Nodes, other: _Nodes) -> list[str]:
    return [
        f"{node}: {kind.name.lower()} {name} differs when translated again"
        for node, snapshot in one.items()
        for kind, named in snapshot.resources.items()
        for name, each in named.items()
        if other[node].resources[kind].get(name) != each
    ] + [
        f"{node}: another number of resources"
        for node in one
        if _sizes(one[node]) != _sizes(other[node])
    ]


def _sizes(node: NodeSnapshot) -> list[int]:
    return [len(node.resources[kind]) for kind in Kind]
