"""From the files of a configuration to the resources of all proxies: parse, resolve, translate."""

import asyncio
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mesh.controlplane import model
from mesh.controlplane.deliver.nodes import Translation
from mesh.controlplane.deliver.packed import NodeSnapshot
from mesh.controlplane.deliver.snapshot import SnapshotFault
from mesh.controlplane.ingest import endpoints, telemetry
from mesh.controlplane.ingest.faults import ConfigFault, Faults, Findings, MeshFault
from mesh.controlplane.ingest.remembered import Remembered
from mesh.controlplane.passed_on import PassedOn
from mesh.controlplane.resolve.mesh import Inputs, resolve
from mesh.pilot.config_folder import Content
from mesh.pilot.drained import Drained, with_drained
from mesh.pilot.findings import Finding, Refused, findings_of
from services import contracts

_FAULTS = (ConfigFault, MeshFault, Faults, SnapshotFault, contracts.ContractError)

_DEFECTS = (
    *(ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError),
    *(ValueError, re.error),
)
"""What a defect of this program raises. A configuration that causes one must not end the process:
its next start would read the same files, and operators could not go back."""

log = logging.getLogger("control-plane")


@dataclass(frozen=True, slots=True)
class Compiled:
    """A configuration with addresses and contracts, in all its forms."""

    mesh: model.Mesh
    passed_on: PassedOn
    nodes: Mapping[str, NodeSnapshot]


class Compiler:
    """Compiles one configuration after the other; what has not changed is not computed again.

    One call at a time, because the remembered parts are not locked.
    """

    def __init__(self, endpoints_file: Path, drained: Drained) -> None:
        self._endpoints = endpoints_file
        self._drained = drained
        self.contracts = contracts.load()
        self._read = Remembered()
        self._translation = Translation()

    async def compile(self, content: Content) -> Compiled:
        """Return the compiled configuration. Raises Refused with all errors."""
        return await asyncio.to_thread(self._compile, content)

    def _compile(self, content: Content) -> Compiled:
        try:
            return self._translated(content)
        except _FAULTS as fault:
            raise Refused(findings_of(fault, Path())) from fault
        except _DEFECTS as defect:
            log.exception("a configuration could not be compiled")
            problem = f"the control plane cannot compile this: {type(defect).__name__}: {defect}"
            raise Refused([Finding("", 0, problem)]) from defect

    def _translated(self, content: Content) -> Compiled:
        findings, later = Findings(), Findings()
        parsed = self._read.of(content, findings)
        text = list[PassedOn]()
        with later.noted():
            text.append(telemetry.passed_on(parsed))
        addresses = with_drained(endpoints.read(self._endpoints), self._drained.marks())
        inputs = Inputs(parsed, self.contracts, addresses)
        mesh = resolve(inputs, findings.followed_by(later))
        nodes = self._translation.node_snapshots(mesh, text[0])
        return Compiled(mesh, text[0], nodes)
