"""One real Envoy that is driven by a real discovery server, and its two upstream servers."""

import asyncio
import json
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from mesh.controlplane.deliver.cache import Cache
from mesh.controlplane.deliver.packed import Kind, NodeSnapshot
from mesh.controlplane.deliver.server import Server, Settings
from mesh.controlplane.deliver.status import NodeStatus, State
from ops.waiting import until
from tests.rigs.mesh.ads_resources import Places
from tests.rigs.mesh.pki import Authority
from tests.rigs.mesh.proxies import ENVOY, free_port
from tests.rigs.mesh.tls import server_context

NODE = "payments-0"
READY_S = 45.0


def bootstrap(api_type: str, ads: Path, admin: Path, node: str = NODE) -> dict[str, Any]:
    """Return a bootstrap whose resources all come by the stream; `api_type` is its form."""
    backoff = {"base_interval": "0.1s", "max_interval": "0.5s"}
    envoy_grpc = {"cluster_name": "ads", "retry_policy": {"retry_back_off": backoff}}
    http2 = {"explicit_http_config": {"http2_protocol_options": {}}}
    options = "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    endpoint = {"endpoint": {"address": {"pipe": {"path": str(ads)}}}}
    by_ads = {"ads": {}, "resource_api_version": "V3"}
    return {
        "node": {"id": node, "cluster": "tests"},
        "admin": {"address": {"pipe": {"path": str(admin)}}},
        "dynamic_resources": {
            "ads_config": {
                "api_type": api_type,
                "transport_api_version": "V3",
                "set_node_on_first_message_only": True,
                "grpc_services": [{"envoy_grpc": envoy_grpc}],
            },
            "cds_config": by_ads,
            "lds_config": by_ads,
        },
        "static_resources": {
            "clusters": [
                {
                    "name": "ads",
                    "connect_timeout": "1s",
                    "typed_extension_protocol_options": {
                        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                            "@type": options,
                            **http2,
                        }
                    },
                    "load_assignment": {
                        "cluster_name": "ads",
                        "endpoints": [{"lb_endpoints": [endpoint]}],
                    },
                }
            ]
        },
    }


def _answer(text: str) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.Response(text=text)

    return answer


@dataclass
class Load:
    """Calls until they are stopped; `failed` has what was not a 200."""

    calls: int = 0
    failed: list[str] = field(default_factory=list[str])
    marks: list[str] = field(default_factory=list[str])


@dataclass
class Driven:
    """The Envoy, the server and the cache; `close` ends them and removes their files."""

    api_type: str
    home: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="bpa-", dir="/tmp")))
    acked: list[str] = field(default_factory=list[str])
    places: Places = field(init=False)
    _runners: list[web.AppRunner] = field(default_factory=list[web.AppRunner])
    envoy: asyncio.subprocess.Process | None = None

    def __post_init__(self) -> None:
        Authority("mesh", self.home / "pki").issue(self.home / "certs", dns=("localhost",))
        self.places = Places(free_port(), free_port(), free_port(), self.home / "certs")
        self.socket, self.admin = self.home / "ads.sock", self.home / "admin.sock"
        self.new_control_plane()

    def new_control_plane(self, settings: Settings | None = None) -> None:
        """Forget everything, as a restarted process."""
        self.cache = Cache(time.time, lambda _node, snapshot: self.acked.append(snapshot.version))
        self.server = Server(self.cache, settings)

    async def start(self) -> None:
        """Start the two servers, the discovery server and the Envoy."""
        for port, secure in ((self.places.plain, False), (self.places.secure, True)):
            app = web.Application()
            app.router.add_get("/", _answer(str(secure)))
            runner = web.AppRunner(app, shutdown_timeout=0.1)
            await runner.setup()
            context = server_context(self.home / "certs") if secure else None
            await web.TCPSite(runner, "127.0.0.1", port, ssl_context=context).start()
            self._runners.append(runner)
        await self.server.serve(NODE, self.socket)
        await self.start_envoy()

    async def start_envoy(self) -> None:
        """Start the Envoy; a running one is killed."""
        await self._kill()
        start = self.home / "bootstrap.json"
        start.write_text(json.dumps(bootstrap(self.api_type, self.socket, self.admin)))
        with (self.home / "envoy.log").open("ab") as log:
            self.envoy = await asyncio.create_subprocess_exec(
                *(str(ENVOY), "-c", str(start), "--concurrency", "1", "--disable-hot-restart"),
                *("--log-level", "warning"),
                stdout=log,
                stderr=log,
            )

    async def _kill(self) -> None:
        if self.envoy is not None and self.envoy.returncode is None:
            self.envoy.kill()
            await self.envoy.wait()

    async def published(self, snapshot: NodeSnapshot) -> NodeStatus:
        """Publish a snapshot and wait until the Envoy has acknowledged or refused it."""
        self.cache.publish(snapshot)
        return await self.settled(snapshot)

    async def settled(self, snapshot: NodeSnapshot) -> NodeStatus:
        """Wait until the Envoy has acknowledged or refused a published snapshot."""

        async def done() -> NodeStatus | None:
            waited = await self.cache.wait_synced({NODE: snapshot.version}, 0.2)
            status = waited[NODE]
            refused = any(each.state is State.NACKED for each in status.kinds.values())
            open_ones = any(each.state is State.STALE for each in status.kinds.values())
            return (
                status if status.acked == snapshot.version or (refused and not open_ones) else None
            )

        try:
            return await until(done, READY_S, "the proxy has the snapshot")
        except TimeoutError as error:
            log = (self.home / "envoy.log").read_text()[-3000:]
            raise TimeoutError(f"{error}: {self.cache.status(NODE)}\n{log}") from error

    async def get(self) -> tuple[str, str]:
        """Call through the Envoy; return the body and the mark of its routes."""
        async with aiohttp.ClientSession() as session:
            return await self._get(session)

    async def _get(self, session: aiohttp.ClientSession) -> tuple[str, str]:
        async with session.get(f"http://127.0.0.1:{self.places.front}/") as response:
            text = await response.text()
            if response.status != 200:
                raise ConnectionError(f"{response.status} {text}")
            return text, response.headers.get("x-mark", "")

    async def load(self, result: Load, stop: asyncio.Event) -> None:
        """Call again and again until the event is set."""
        async with aiohttp.ClientSession() as session:
            while not stop.is_set():
                try:
                    _, mark = await self._get(session)
                    result.marks.append(mark)
                except (aiohttp.ClientError, ConnectionError) as error:
                    result.failed.append(repr(error))
                result.calls += 1

    async def stats(self, text: str) -> dict[str, int]:
        """Return the Envoy's counters and gauges whose names contain a text."""
        lines = (await self._admin(f"/stats?filter={text}")).splitlines()
        pairs = (line.rsplit(": ", 1) for line in lines)
        return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}

    async def clusters(self) -> set[str]:
        """Return the names of the active clusters."""
        lines = (await self._admin("/clusters")).splitlines()
        return {line.partition("::")[0] for line in lines} - {"ads"}

    async def _admin(self, path: str) -> str:
        connector = aiohttp.UnixConnector(str(self.admin))
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.get(f"http://envoy{path}") as response,
        ):
            return await response.text()

    async def close(self) -> None:
        """End everything and remove the files."""
        await self._kill()
        await self.server.close()
        for runner in self._runners:
            await runner.cleanup()
        shutil.rmtree(self.home, ignore_errors=True)


def states(status: NodeStatus) -> dict[Kind, State]:
    """Return the state of each kind."""
    return {kind: each.state for kind, each in status.kinds.items()}
