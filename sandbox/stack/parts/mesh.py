"""Envoy: the gateway and one sidecar a service, with configuration rendered by `mesh.ctl`.

This module chooses addresses (mesh/endpoints.json) and starts the proxies. `mesh` derives their
configuration from the contracts and the traffic policy.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import resource
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mesh.controlplane.drain import DRAIN_OPTIONS
from mesh.controlplane.ingest.endpoints import CONNECTIONS_MAX
from ops.provision.roster import GATEWAY, SERVICES, Service, present
from ops.waiting import scaled_s
from sandbox.stack import packages
from sandbox.stack.certs import EDGE
from sandbox.stack.home import REPO, Home
from sandbox.stack.parts.partners import WEBHOOK_CLIENTS, Partners
from sandbox.stack.ports import Ports, require_free
from sandbox.stack.supervisor import launch, private
from sandbox.stack.supervisor.nodes import Layer, ProcessSpec, StopPolicy
from sandbox.stack.supervisor.probes import HttpProbe, http_json, http_status

ENVOY = packages.folder_of("envoy") / "_bin" / "envoy"
GATEWAY_DRAIN_S = 10
ADMIN = "http://envoy"
"""The host in requests to an admin socket; Envoy ignores it."""
INOTIFY_PER_PROXY = 12
ACTIVE_STAT = "downstream_rq_active"
KEYS_STAT = "jwt_authn.jwks_fetch_success"
READY_WITHIN_S = 366 * 86_400.0
"""How long the gateway may wait for the token issuer's keys: a year, so it waits until the
issuer is back. Meanwhile it serves the partners, which need no token, so it is neither restarted
nor given up."""
LISTENS_WITHIN_S = 60.0
"""A gateway that does not listen by then is restarted: another program had taken its port."""
OPEN_FILES_MAX = 20_000
RENDER_INPUTS = ("mesh", "gateway", "gen", "services/contracts", "services/kernel")


@dataclass(frozen=True)
class GatewayProbe:
    """The gateway listens and has the token issuer's keys; without keys customers get 503."""

    admin_socket: Path

    async def check(self) -> bool:
        """Return True if it listens and has the keys."""
        status = await http_status("GET", f"{ADMIN}/ready", str(self.admin_socket))
        return status == 200 and bool(await _counted(self.admin_socket, KEYS_STAT))


@dataclass(frozen=True)
class Mesh:
    """The proxies of one state directory."""

    home: Home
    ports: Ports
    partners: Partners

    @property
    def exists(self) -> bool:
        """True when `mesh/ctl.py`, which renders the proxies, exists."""
        return (REPO / "mesh" / "ctl.py").exists()

    @property
    def gateway_address(self) -> str:
        """host:port of the public listener."""
        return f"127.0.0.1:{self.ports.get('gateway')}"

    @property
    def gateway_url(self) -> str:
        """The base URL for a mobile app."""
        return f"https://localhost:{self.ports.get('gateway')}"

    @property
    def gateway_admin(self) -> Path:
        """The Unix socket of the gateway's admin interface, which can stop the gateway."""
        return self.home.run / GATEWAY / "admin.sock"

    @property
    def ca_file(self) -> Path:
        """The CA certificate that a caller of the gateway must trust."""
        return self.home.certs / EDGE / "ca.pem"

    def endpoints(self) -> dict[str, Any]:
        """The addresses that the mesh translation reads."""
        meshed = {service.name: self._service(service) for service in SERVICES if service.sidecar}
        return {
            "services": meshed,
            "gateway": {
                "listen": self.gateway_address,
                "admin_socket": str(self.gateway_admin),
            },
            "partners": self.partners.hosts(),
            "certs_dir": str(self.home.certs),
            "webhook_ca": str(self.partners.authority_file(WEBHOOK_CLIENTS)),
            "credentials": self.partners.credential_files(),
            "connections_max": connections_max(),
        }

    def _service(self, service: Service) -> dict[str, Any]:
        folder = self.home.run / service.name
        return {
            "mtls": f"127.0.0.1:{self._mtls_port(service)}",
            "app_sockets": [str(folder / "in-0.sock")],
            "outbound_socket": str(folder / "out.sock"),
            "admin_socket": str(folder / "admin.sock"),
        }

    def _mtls_port(self, service: Service) -> int:
        return self.ports.get(f"{service.name}-mtls")

    async def render(self) -> None:
        """Write the addresses and have the mesh write every proxy's configuration. Translation
        takes seconds, so it is skipped when its inputs have not changed."""
        file = self.home.mesh_endpoints
        private.write(file, json.dumps(self.endpoints(), indent=1) + "\n")
        stamp, wanted = self.home.mesh_endpoints.with_name("rendered.sha256"), _digest(file)
        if stamp.exists() and stamp.read_text() == wanted:
            return
        out = ("--out", str(self.home.envoy))
        where = ("--home", str(self.home.root), "--endpoints", str(file), *out)
        await launch.run(
            (sys.executable, "-m", "mesh.ctl", "render", *where),
            env=launch.child_environment({"PYTHONPATH": f"{REPO}:{REPO / 'gen'}"}),
            log=self.home.logs / "mesh-render.log",
        )
        private.write(stamp, wanted)

    def sidecars(self) -> list[ProcessSpec]:
        """Return a proxy for each service that exists and needs one."""
        return [self._sidecar(service) for service in present() if service.sidecar]

    def _sidecar(self, service: Service) -> ProcessSpec:
        folder = self.home.run / service.name
        admin = folder / "admin.sock"
        port = self._mtls_port(service)

        async def prepare() -> None:
            _prepare(admin, folder / "out.sock")
            require_free(port, f"the sidecar of {service.name}")

        return ProcessSpec(
            name=f"{service.name}-sidecar",
            layer=Layer.SIDECAR,
            command=self._command(service.name),
            probe=HttpProbe(f"{ADMIN}/ready", unix_socket=str(admin)),
            # Envoy is ready without a listener whose port another program has taken.
            ports=(port,),
            depends_on=("certificates", "mesh"),
            prepare=prepare,
            stop=StopPolicy(kill_after_s=scaled_s(5)),
        )

    def gateway(self) -> ProcessSpec:
        """Return the gateway. At `down` it stops first and lets requests in flight finish."""

        async def drain() -> None:
            admin = str(self.gateway_admin)
            await http_status("POST", f"{ADMIN}/healthcheck/fail", admin)
            # Not ?graceful: new connections would be accepted for the whole drain time.
            await http_status("POST", f"{ADMIN}/drain_listeners", admin)
            while await self._requests_active():  # noqa: ASYNC110 another process
                await asyncio.sleep(0.05)

        async def prepare() -> None:
            _prepare(self.gateway_admin)
            require_free(port, "the gateway")

        port = self.ports.get(GATEWAY)
        services = tuple(f"{s.name}-sidecar" for s in present() if s.sidecar)
        return ProcessSpec(
            name=GATEWAY,
            layer=Layer.GATEWAY,
            command=self._command(GATEWAY),
            probe=GatewayProbe(self.gateway_admin),
            ports=(port,),
            listens_within_s=scaled_s(LISTENS_WITHIN_S),
            depends_on=("certificates", "mesh", *services),
            ready_within_s=READY_WITHIN_S,
            prepare=prepare,
            stop=StopPolicy(kill_after_s=scaled_s(GATEWAY_DRAIN_S), drain=drain),
        )

    async def _requests_active(self) -> bool:
        """Return whether a caller still waits for an answer; False if the proxy is unreachable."""
        return bool(await _counted(self.gateway_admin, ACTIVE_STAT))

    def _command(self, name: str) -> tuple[str, ...]:
        bootstrap = self.home.envoy / name / "bootstrap.json"
        files_max = open_files_max()
        return (
            # The limit of this process may be lower than what the user may have.
            *("prlimit", f"--nofile={files_max}:{files_max}"),
            *(str(ENVOY), "-c", str(bootstrap), "--concurrency", "1"),
            # No shared memory, so that it cannot collide with another Envoy of this machine.
            *("--disable-hot-restart", "--log-level", "warning"),
            *DRAIN_OPTIONS,
        )


def open_files_max() -> int:
    """Return how many files and connections a process of this user may have open."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return OPEN_FILES_MAX if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES_MAX)


def connections_max() -> int:
    """Return how many connections a proxy accepts: at most half of its open files, because it also
    needs files for connections to servers, configuration and certificates."""
    return min(CONNECTIONS_MAX, open_files_max() // 2)


async def _counted(admin_socket: Path, stat: str) -> int:
    """Return a statistic of a proxy's own listeners; 0 if the proxy is unreachable."""
    url = f"{ADMIN}/stats?filter={stat}&format=json"
    answer = await http_json(url, str(admin_socket))
    stats: list[dict[str, Any]] = (answer or {}).get("stats", [])
    return sum(stat["value"] for stat in stats if not stat["name"].startswith("http.admin."))


def _prepare(*sockets: Path) -> None:
    """Check the limits of this user; make the folder of a proxy's sockets; remove stale ones."""
    launch.require_inotify(INOTIFY_PER_PROXY)
    for socket in sockets:
        private.folder(socket.parent)
        socket.unlink(missing_ok=True)


def _digest(endpoints: Path) -> str:
    """Return the digest of all inputs of the translation: addresses, contracts, policy, code."""
    digest = hashlib.sha256(endpoints.read_bytes())
    for root in RENDER_INPUTS:
        for file in sorted((REPO / root).rglob("*")):
            if file.is_file() and file.suffix != ".pyc":
                digest.update(str(file).encode() + file.read_bytes())
    return digest.hexdigest()
