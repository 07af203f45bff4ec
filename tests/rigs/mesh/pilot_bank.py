"""A pilot with a compiler that decides by the first word of a file, for unit tests."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

from mesh.controlplane.deliver.packed import Kind, pack, snapshot
from mesh.controlplane.passed_on import PassedOn
from mesh.pilot import config_folder
from mesh.pilot.compiling import Compiled
from mesh.pilot.config_folder import Content
from mesh.pilot.findings import Finding, Refused
from mesh.pilot.history import Entry, Origin
from mesh.pilot.pilot import Pilot
from mesh.pilot.places import Places
from tests.rigs.mesh.fixed_places import mesh

GOOD, BETTER, BAD, DENYING = (
    {"mesh.yaml": body} for body in (b"good\n", b"better\n", b"bad\n", b"deny\n")
)
MESH = mesh()
ENTRY = Entry("ana", "why", Origin.APPLY)


@dataclass
class Bank:
    """A pilot whose compiler refuses every file that begins with "bad"."""

    folder: Path
    refuses: bytes = b"bad"
    denies: bytes = b"deny"
    """The guard refuses an edit in place whose file begins with this."""
    published: list[str] = field(default_factory=list[str])
    checks: asyncio.Event = field(default_factory=asyncio.Event)
    """A check ends when this is set."""

    @property
    def places(self) -> Places:
        """The paths of this bank."""
        return Places(self.folder, self.folder / "run")

    def pilot(self) -> Pilot:
        """Return a new process of the control plane."""
        return Pilot(
            self.places,
            self._compile,
            self._publish,
            editor=lambda: "sre",
            check=self._check,
            approve_edit=self._approve_edit,
        )

    def edit(self, content: Content) -> None:
        """Edit the active folder in place."""
        config_folder.replace(self.places.active, content)

    async def _compile(self, content: Content) -> Compiled:
        if content["mesh.yaml"].startswith(self.refuses):
            raise Refused([Finding("mesh.yaml", 1, "it is bad")])
        await asyncio.sleep(0)
        resource = pack(Kind.CLUSTER, "c", content["mesh.yaml"])
        nodes = {"payments-0": snapshot("payments-0", [resource])}
        return Compiled(MESH, PassedOn("true"), nodes)

    async def _check(self, content: Content) -> Compiled:
        await self.checks.wait()
        return await self._compile(content)

    async def _approve_edit(self, _: Compiled, after: Compiled) -> None:
        self.approve(_, after)

    def approve(self, _: Compiled, after: Compiled) -> None:
        """Refuse what would deny live payments."""
        body = after.nodes["payments-0"].resources[Kind.CLUSTER]["c"].body
        if body.startswith(self.denies):
            raise Refused([Finding("", 0, "3 live calls would be denied")])

    async def _publish(self, compiled: Compiled) -> None:
        nodes = compiled.nodes
        self.published.append(
            nodes["payments-0"].resources[Kind.CLUSTER]["c"].body.decode().strip()
        )
