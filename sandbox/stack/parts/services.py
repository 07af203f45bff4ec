"""The bank's own processes, with the environment that the platform guarantees to each.

A service and its sidecar start concurrently. The sidecar is in a lower layer, so at `down` it keeps
running until the service has drained.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from mesh.pilot.places import folder_name
from ops.provision.roster import Service, present
from ops.provision.valkey import RIGHTS
from ops.waiting import scaled_s
from sandbox.stack.home import REPO, Home
from sandbox.stack.supervisor import private
from sandbox.stack.supervisor.nodes import Layer, Liveness, ProcessSpec, StopPolicy
from sandbox.stack.supervisor.probes import GrpcAnswers, GrpcHealthProbe

ASKED_EVERY_S = 5.0
NEEDS = ("migrations", "vault", "topics", "certificates")


@dataclass(frozen=True)
class Services:
    """The service processes of one state directory."""

    home: Home
    openbao_addr: str
    kafka_bootstrap: str
    silent_s_max: float = 30.0
    settlement_wait_s: float = 0.0
    bcrypt_cost: int = 12

    def specs(self) -> list[ProcessSpec]:
        """Return a process for each service in the repository."""
        return [self.spec(service) for service in present()]

    def spec(self, service: Service, number: int = 0) -> ProcessSpec:
        """Return one instance of a service."""
        name = folder_name(f"{service.name}-{number}")
        folder = self.home.run / name
        socket = folder / "in-0.sock"

        async def prepare() -> None:
            private.folder(folder)
            socket.unlink(missing_ok=True)

        return ProcessSpec(
            name=name,
            layer=Layer.SERVICE,
            command=(sys.executable, "-m", f"services.{service.name}"),
            env=self._environment(service, number, folder),
            cwd=REPO,
            probe=GrpcHealthProbe(str(socket)),
            depends_on=NEEDS,
            prepare=prepare,
            stop=StopPolicy(kill_after_s=scaled_s(15)),
            liveness=self._liveness(str(socket)),
        )

    def _liveness(self, socket: str) -> Liveness | None:
        if self.silent_s_max <= 0:
            return None
        asked_every_s = min(ASKED_EVERY_S, self.silent_s_max / 6)
        return Liveness(GrpcAnswers(socket), self.silent_s_max, asked_every_s)

    def _environment(self, service: Service, number: int, folder: Path) -> dict[str, str]:
        knobs = {"BP_SETTLEMENT_WAIT_S": str(self.settlement_wait_s)}
        valkey = {"BP_VALKEY_SOCKET": str(self.home.valkey_socket)}
        return {
            **(knobs if service.name == "payments" and self.settlement_wait_s else {}),
            **(valkey if service.name in RIGHTS else {}),
            **({"BP_BCRYPT_COST": str(self.bcrypt_cost)} if service.name == "auth" else {}),
            "BP_SERVICE": service.name,
            "BP_SLOT": str(number),
            "BP_HOME": str(self.home.root),
            "BP_SOCKET_IN": str(folder / "in-0.sock"),
            "BP_SOCKET_OUT": str(folder / "out.sock"),
            "BP_OPENBAO_ADDR": self.openbao_addr,
            "BP_SERVICE_ACCOUNT_TOKEN_FILE": str(folder / "token"),
            "BP_KAFKA_BOOTSTRAP": self.kafka_bootstrap,
            "PYTHONPATH": python_path(),
            "PYTHONUNBUFFERED": "1",
        }


def python_path() -> str:
    """Return the source roots as a PYTHONPATH."""
    return f"{REPO}:{REPO / 'gen'}"
