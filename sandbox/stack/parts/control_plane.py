"""The mesh's control plane: one process, and the job that gives it the repository's configuration.

The job applies `mesh/config` only if it has changed since it was last applied, so a rollback or an
edit by an SRE survives `make up`. A configuration with errors fails the job; running proxies keep
what they have.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from mesh.pilot import config_folder
from mesh.pilot.places import NAME, Places
from ops.waiting import scaled_s
from sandbox.stack.home import REPO, Home
from sandbox.stack.supervisor import private
from sandbox.stack.supervisor.nodes import Layer, Liveness, ProcessSpec, StopPolicy
from sandbox.stack.supervisor.probes import HttpProbe

CONFIG = REPO / "mesh" / "config"
API = "http://control-plane/v1"
ANSWER_WITHIN_S = 60.0
WHY = "the repository's configuration, at a start of the bank"


@dataclass(frozen=True)
class ControlPlane:
    """The control plane of one state directory. `endpoints` returns the addresses of the bank."""

    home: Home
    endpoints: Callable[[], dict[str, Any]]
    config: Path = CONFIG
    kafka: str = ""
    """host:port of a broker; without it the control plane publishes no events."""

    @property
    def places(self) -> Places:
        """The paths that the process uses."""
        return Places(self.home.root, self.home.run)

    @property
    def probe(self) -> HttpProbe:
        """Checks that the control plane answers."""
        return HttpProbe(f"{API}/state", unix_socket=str(self.places.admin_socket))

    def node(self) -> ProcessSpec:
        """Return the process."""
        places = self.places

        async def prepare() -> None:
            private.folder(places.admin_socket.parent)
            self.write_endpoints()

        return ProcessSpec(
            name=NAME,
            layer=Layer.CONTROL_PLANE,
            command=(
                *(sys.executable, "-m", "mesh.serve"),
                *("--home", str(places.home), "--run", str(places.run)),
                *(("--kafka", self.kafka) if self.kafka else ()),
            ),
            env={"PYTHONPATH": f"{REPO}:{REPO / 'gen'}", "PYTHONUNBUFFERED": "1"},
            cwd=REPO,
            probe=self.probe,
            prepare=prepare,
            stop=StopPolicy(kill_after_s=scaled_s(5)),
            liveness=Liveness(self.probe),
        )

    async def apply(self) -> None:
        """Apply the repository's configuration if it has changed. RuntimeError if it has errors."""
        content = config_folder.read(self.config)
        body = {
            "files": {name: text.decode(errors="replace") for name, text in content.items()},
            "why": WHY,
        }
        await self.ask("POST", "apply-repository", body)

    def write_endpoints(self) -> None:
        """Write the addresses; a running control plane notices a change at once."""
        private.write(self.places.endpoints, json.dumps(self.endpoints(), indent=1) + "\n")

    async def ask(self, method: str, target: str, body: Any = None) -> Any:
        """Return the answer of the admin API. RuntimeError with its reason if it refuses."""
        connector = aiohttp.UnixConnector(path=str(self.places.admin_socket))
        timeout = aiohttp.ClientTimeout(total=scaled_s(ANSWER_WITHIN_S))
        async with (
            aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
            session.request(method, f"{API}/{target}", json=body) as answer,
        ):
            if answer.status != 200:
                raise RuntimeError(_refusal(await answer.json()))
            return await answer.json()


def _refusal(answer: dict[str, Any]) -> str:
    error = answer["error"]
    lines = [f"{one['file']}:{one['line']}: {one['problem']}" for one in error["findings"]]
    return "\n".join(["mesh/config is refused:", *lines]) if lines else error["message"]
