"""The proxies of a mesh on one machine: addresses, certificates, config and real Envoys."""

import asyncio
import json
import shutil
import socket
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from mesh import ctl
from mesh.controlplane.deliver import files
from mesh.controlplane.deliver.snapshot import Snapshot
from mesh.controlplane.drain import DRAIN_OPTIONS
from ops.waiting import until
from services.kernel.identities import spiffe_id
from tests.rigs.mesh.pki import Authority

SERVICES = ("payments", "transfers", "customers", "notifications", "audit", "auth")
PARTNERS = (
    "ach-network.example",
    "fraud.example",
    "fcm.googleapis.com",
    "oauth2.googleapis.com",
    "oauth.example",
    "sms-gateway.example",
    "rekognition.us-east-1.amazonaws.com",
)
CREDENTIALS = {
    "ach-network-client": ("ach-network.example",),
    "fraud": ("fraud.example",),
    "fcm": ("fcm.googleapis.com", "oauth2.googleapis.com"),
    "oauth": ("oauth.example",),
    "sms": ("sms-gateway.example",),
    "rekognition": ("rekognition.us-east-1.amazonaws.com",),
}
"""The hosts of each credentialName."""
READY_S = 45.0
ENVOY = Path(ctl.__file__).parents[1] / ".venv" / "bin" / "envoy"


def identity(service: str) -> str:
    """Return the SPIFFE id of a service account of the mesh."""
    return spiffe_id(service)


def free_port() -> int:
    """Return a port on which no process listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Rig:
    """All proxies of one test session; `close` stops them and removes their files."""

    config: Path = ctl.CONFIG
    home: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="bpm-", dir="/tmp")))
    envoys: dict[str, asyncio.subprocess.Process] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.mesh_ca = Authority("mesh", self.home / "pki")
        # Signs the client certificates with which partners call the gateway.
        self.partner_ca = Authority("partners", self.home / "pki")
        # Signs the bank's certificate for the clearing house.
        self.ach_members_ca = Authority("ach-members", self.home / "pki")
        self.server_ca = {name: Authority(name, self.home / "pki") for name in CREDENTIALS}
        self.places = self._places()
        self._certificates()
        self.render(self.config)

    def _places(self) -> dict[str, object]:
        run = self.home / "run"
        for name in (*SERVICES, "gateway"):
            (run / name).mkdir(parents=True)
        self.mtls = {name: free_port() for name in SERVICES}
        self.gateway_port = free_port()
        self.partner_port = {host: free_port() for host in PARTNERS}
        return {
            "services": {
                name: {
                    "mtls": f"127.0.0.1:{self.mtls[name]}",
                    "app_sockets": [str(self.socket_in(name))],
                    "outbound_socket": str(self.socket_out(name)),
                    "admin_socket": str(self.admin_socket(name)),
                }
                for name in SERVICES
            },
            "gateway": {
                "listen": f"127.0.0.1:{self.gateway_port}",
                "admin_socket": str(self.admin_socket("gateway")),
            },
            "partners": {host: f"127.0.0.1:{port}" for host, port in self.partner_port.items()},
            "certs_dir": str(self.home / "certs"),
            "webhook_ca": str(self.partner_ca.pem),
            "credentials": {
                name: {
                    "ca": str(authority.pem),
                    "client": self._client() if name == "ach-network-client" else None,
                }
                for name, authority in self.server_ca.items()
            },
        }

    def _client(self) -> dict[str, str]:
        folder = self.home / "partners" / "bp-client"
        return {"cert": str(folder / "cert.pem"), "key": str(folder / "key.pem")}

    def _certificates(self) -> None:
        certs, partners = self.home / "certs", self.home / "partners"
        for name in (*SERVICES, "gateway"):
            # Sidecars check only the URI; the DNS name is for the tests' own gRPC client.
            self.mesh_ca.issue(certs / name, dns=(name,), uri=identity(name))
        self.mesh_ca.issue(certs / "edge", dns=("localhost",))
        self.ach_members_ca.issue(partners / "bp-client", dns=("bp-client",))
        for name, hosts in CREDENTIALS.items():
            for host in hosts:
                self.server_ca[name].issue(partners / host, dns=(host,))

    def render(self, config: Path = ctl.CONFIG) -> list[Path]:
        """Write the folder of every proxy; return the files that changed."""
        return self.write(self.rendered(config))

    def write(self, snapshots: Mapping[str, Snapshot]) -> list[Path]:
        """Write what `rendered` returned; return the files that changed."""
        return files.write(snapshots.values(), (self.home / "envoy").absolute())

    def rendered(self, config: Path) -> Mapping[str, Snapshot]:
        """Return the resources of every proxy, and write nothing."""
        places = self.home / "mesh" / "endpoints.json"
        places.parent.mkdir(exist_ok=True)
        places.write_text(json.dumps(self.places))
        return ctl.rendered(config, places, self.home / "envoy")

    def bootstrap(self, name: str) -> Path:
        """Return the file with which a proxy starts."""
        return self.home / "envoy" / name / "bootstrap.json"

    def socket_in(self, service: str) -> Path:
        """Return the socket on which a service's server listens."""
        return self.home / "run" / service / "in-0.sock"

    def socket_out(self, service: str) -> Path:
        """Return the socket on which a sidecar accepts its service's outgoing calls."""
        return self.home / "run" / service / "out.sock"

    def admin_socket(self, name: str) -> Path:
        """Return the socket of a proxy's admin page."""
        return self.home / "run" / name / "admin.sock"

    async def start(self, names: Iterable[str]) -> None:
        """Start the proxies with these names and wait until they are ready."""
        for name in names:
            await self._start(name)
        await asyncio.gather(*(self._ready(name) for name in names))

    async def kill(self, name: str) -> None:
        """Kill a proxy and wait until it has ended."""
        self.envoys[name].kill()
        await self.envoys[name].wait()

    async def _start(self, name: str) -> None:
        with (self.home / f"{name}.log").open("wb") as log:
            self.envoys[name] = await asyncio.create_subprocess_exec(
                str(ENVOY),
                "-c",
                str(self.bootstrap(name)),
                *("--concurrency", "1", "--disable-hot-restart", "--log-level", "warning"),
                *DRAIN_OPTIONS,
                stdout=log,
                stderr=log,
            )

    async def _ready(self, name: str) -> None:
        listeners = 1 if name == "gateway" else 2

        async def ready() -> bool:
            if await self._listening(name, listeners):
                return True
            if self.envoys[name].returncode is not None:
                if "inotify" not in self._log(name):
                    raise RuntimeError(f"{name} ended:\n{self._log(name)}")
                # Another mesh on this machine is using all of the user's inotify instances.
                await self._start(name)
            return False

        try:
            await until(ready, READY_S, f"{name} is ready")
        except TimeoutError as error:
            raise TimeoutError(f"{error}:\n{self._log(name)}") from error

    def _log(self, name: str) -> str:
        return (self.home / f"{name}.log").read_text()[-4000:]

    async def _listening(self, name: str, listeners: int) -> bool:
        stats = await self.stats(name, "listener_manager")
        # A listener counts as active before a worker accepts connections.
        return (
            stats.get("listener_manager.total_listeners_active", 0) >= listeners
            and stats.get("listener_manager.workers_started", 0) == 1
        )

    async def stats(self, name: str, filter_text: str) -> dict[str, int]:
        """Return the proxy's counters and gauges whose names contain a text."""
        connector = aiohttp.UnixConnector(str(self.admin_socket(name)))
        url = f"http://envoy/stats?filter={filter_text}"
        try:
            async with (
                aiohttp.ClientSession(connector=connector) as session,
                session.get(url) as response,
            ):
                lines = (await response.text()).splitlines()
        except aiohttp.ClientError:
            return {}
        pairs = (line.rsplit(": ", 1) for line in lines)
        return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}

    async def close(self) -> None:
        """Stop the proxies and remove the folder."""
        for envoy in self.envoys.values():
            if envoy.returncode is None:
                envoy.kill()
        await asyncio.gather(*(envoy.wait() for envoy in self.envoys.values()))
        shutil.rmtree(self.home, ignore_errors=True)
