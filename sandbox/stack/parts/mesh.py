"""Envoy: the gateway and one sidecar a service, configured by the control plane.

This module chooses addresses (mesh/endpoints.json) and starts the proxies. The control plane
derives their configuration from the contracts and the traffic policy.
"""

from __future__ import annotations

import asyncio
import resource
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mesh.controlplane.drain import DRAIN_OPTIONS
from mesh.controlplane.ingest.endpoints import CONNECTIONS_MAX
from mesh.pilot.places import folder_name
from ops.provision.roster import GATEWAY, SERVICES, Service, present
from ops.waiting import scaled_s
from sandbox.stack import packages
from sandbox.stack.certs import EDGE
from sandbox.stack.home import REPO, Home
from sandbox.stack.parts import proxy_start
from sandbox.stack.parts.control_plane import ControlPlane
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
INBOUND_STAT = "^http.inbound.downstream_rq_active$"
KEYS_STAT = "jwt_authn.jwks_fetch_success"
READY_WITHIN_S = 366 * 86_400.0
"""How long the gateway may wait for the token issuer's keys: a year, so it waits until the
issuer is back. Meanwhile it serves the partners, which need no token, so it is neither restarted
nor given up."""
LISTENS_WITHIN_S = 60.0
"""A gateway that does not listen by then is restarted: another program had taken its port."""
OPEN_FILES_MAX = 20_000
SIDECAR = "-sidecar"
"""The suffix of a sidecar's name in the table of nodes."""
FIRST_VERSION = "v1"
"""The version of the instances with which the bank starts."""


@dataclass(frozen=True)
class GatewayProbe:
    """The gateway listens and has the token issuer's keys; without keys customers get 503."""

    admin_socket: Path

    async def check(self) -> bool:
        """Return True if it listens and has the keys."""
        status = await http_status("GET", f"{ADMIN}/ready", str(self.admin_socket))
        return status == 200 and bool(await _counted(self.admin_socket, KEYS_STAT))


@dataclass(frozen=True)
class Instance:
    """A further process of a service, with its own sidecar. Callers reach it when it is ready."""

    service: Service
    number: int
    version: str
    ready: bool = False

    @property
    def node(self) -> str:
        """The name of its process and the id of its proxy."""
        return f"{self.service.name}-{self.number}"


@dataclass(frozen=True)
class Mesh:
    """The proxies of one state directory."""

    home: Home
    ports: Ports
    partners: Partners
    kafka: str = ""
    """host:port of a broker, for the control plane's events."""
    instances: dict[str, Instance] = field(default_factory=dict[str, Instance])
    """The further instances of services, such as customers-1; they end with the bank."""

    @property
    def exists(self) -> bool:
        """True when `mesh/serve.py`, the control plane, exists."""
        return (REPO / "mesh" / "serve.py").exists()

    @property
    def control_plane(self) -> ControlPlane:
        """The control plane of these proxies."""
        return ControlPlane(self.home, self.endpoints, kafka=self.kafka)

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
        first = {
            "address": f"127.0.0.1:{self._mtls_port(service.name)}",
            "version": FIRST_VERSION,
        }
        further = [self._instance(e) for e in self.instances.values() if e.service == service]
        return {"instances": [first, *further], **self._sockets(service.name)}

    def _instance(self, each: Instance) -> dict[str, Any]:
        return {
            "address": f"127.0.0.1:{self._mtls_port(each.node)}",
            "number": each.number,
            "version": each.version,
            "state": "READY" if each.ready else "DRAINING",
            **self._sockets(each.node),
        }

    def _sockets(self, name: str) -> dict[str, Any]:
        folder = self.home.run / name
        return {
            "app_sockets": [str(folder / "in-0.sock")],
            "outbound_socket": str(folder / "out.sock"),
            "admin_socket": str(folder / "admin.sock"),
        }

    def _mtls_port(self, name: str) -> int:
        return self.ports.get(f"{name}-mtls")

    def sidecars(self) -> list[ProcessSpec]:
        """Return a proxy for each service that exists and needs one."""
        return [self.sidecar(service.name) for service in present() if service.sidecar]

    def sidecar(self, name: str) -> ProcessSpec:
        """Return the proxy of a service's first instance (customers) or of another one
        (customers-1)."""
        folder = self.home.run / name
        admin = folder / "admin.sock"
        port = self._mtls_port(name)

        async def prepare() -> None:
            await self._prepare(name, admin, folder / "out.sock")
            require_free(port, f"the sidecar of {name}")

        return ProcessSpec(
            name=f"{name}{SIDECAR}",
            layer=Layer.SIDECAR,
            command=self._command(name),
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
            await self._prepare(GATEWAY, self.gateway_admin)
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

    async def serves_calls(self, node: str) -> bool:
        """Return whether an instance still works on a call; False if its proxy is unreachable."""
        admin = self.home.run / folder_name(node) / "admin.sock"
        return bool(await _counted(admin, INBOUND_STAT))

    async def _requests_active(self) -> bool:
        """Return whether a caller still waits for an answer; False if the proxy is unreachable."""
        return bool(await _counted(self.gateway_admin, ACTIVE_STAT))

    async def _prepare(self, name: str, *sockets: Path) -> None:
        """Check the limits of this user, remove stale sockets, and choose the bootstrap."""
        launch.require_inotify(INOTIFY_PER_PROXY)
        for socket in sockets:
            private.folder(socket.parent)
            socket.unlink(missing_ok=True)
        await proxy_start.choose(self.home.envoy / name, self.control_plane.probe)

    def _command(self, name: str) -> tuple[str, ...]:
        bootstrap = self.home.envoy / name / proxy_start.START
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
