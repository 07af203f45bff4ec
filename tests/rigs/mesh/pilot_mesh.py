"""A gateway and sidecars that a real control plane drives, with calls in flight."""

import asyncio
import json
import shutil
from collections import Counter
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from mesh import ctl
from mesh.controlplane.drain import DRAIN_OPTIONS
from mesh.pilot import config_folder
from ops.waiting import until
from sandbox.stack.parts import proxy_start
from tests.rigs.mesh.gateway import BODY, SUBJECT, TRANSFER, Gateway
from tests.rigs.mesh.issuer import Issuer
from tests.rigs.mesh.pilot import Plane
from tests.rigs.mesh.proxies import ENVOY, Rig, free_port
from tests.rigs.mesh.tls import client_context
from tests.rigs.mesh.upstream import Customers, Payments, Seen, serve

PROXIES = ("payments", "customers", "gateway")
SECOND = "customers-1"
BALANCE = "/v1/balances/0190a8a0-0000-7000-8000-000000000007"
LISTENERS = "listener_manager.listener_"


class StreamRig(Rig):
    """Proxies that start as the stack starts them: by stream, or from their last good files."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.plane = Plane(self)

    def render(self, config: Path = ctl.CONFIG) -> list[Path]:
        """Write the endpoints file alone: the control plane writes the rest."""
        self.write_endpoints()
        return []

    def write_endpoints(self) -> None:
        """Write the addresses of all processes, by a rename."""
        path = self.home / "mesh" / "endpoints.json"
        path.parent.mkdir(mode=0o700, exist_ok=True)
        draft = path.with_name(".endpoints.draft")
        draft.write_text(json.dumps(self.places))
        draft.replace(path)

    async def _start(self, name: str) -> None:
        folder = self.home / "envoy" / name
        await proxy_start.choose(folder, self.plane.probe)
        with (self.home / f"{name}.log").open("ab") as log:
            self.envoys[name] = await asyncio.create_subprocess_exec(
                *(str(ENVOY), "-c", str(folder / proxy_start.START)),
                *("--concurrency", "1", "--disable-hot-restart", "--log-level", "warning"),
                *DRAIN_OPTIONS,
                stdout=log,
                stderr=log,
            )

    async def dump(self, name: str) -> str:
        """Return the configuration that a proxy uses, as text."""
        connector = aiohttp.UnixConnector(str(self.admin_socket(name)))
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.get("http://envoy/config_dump") as response,
        ):
            return json.dumps(await response.json(), ensure_ascii=False)

    def started_from(self, name: str) -> str:
        """Return the bootstrap from which a proxy started, below its folder."""
        return str((self.home / "envoy" / name / proxy_start.START).readlink())


@dataclass
class Load:
    """Reads of a balance through the gateway until it is stopped; it can be paused."""

    gateway: Gateway
    statuses: Counter[int] = field(default_factory=Counter[int])
    errors: list[str] = field(default_factory=list[str])
    go: asyncio.Event = field(default_factory=asyncio.Event)
    idle: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Call one after the other; a broken connection counts as 0."""
        self.go.set()
        while True:
            if not self.go.is_set():
                self.idle.set()
                await self.go.wait()
                self.idle.clear()
            try:
                answer = await self.gateway.call("GET", BALANCE, token=_token(self.gateway))
                self.statuses[answer.status] += 1
                if answer.status != 200:
                    self.errors.append(answer.text)
            except aiohttp.ClientError as error:
                self.statuses[0] += 1
                self.errors.append(repr(error))
            # This makes fewer reads than a customer's bucket allows.
            await asyncio.sleep(0.02)

    async def pause(self) -> None:
        """Wait until no call is in flight, and make none until `resume`."""
        self.go.clear()
        await self.idle.wait()

    def resume(self) -> None:
        """Make calls again."""
        self.go.set()

    async def more(self, calls: int = 5) -> None:
        """Wait for more calls."""
        wanted = self.statuses.total() + calls

        async def made() -> bool:
            return self.statuses.total() >= wanted

        await until(made, what=f"{calls} more calls")


@dataclass
class Piloted:
    """The control plane, the gateway with two sidecars, and the services behind them."""

    rig: StreamRig
    gateway: Gateway
    first: Seen
    second: Seen
    """What the second instance of customers has seen, if a test starts it."""

    @property
    def plane(self) -> Plane:
        """The control plane."""
        return self.rig.plane

    @asynccontextmanager
    async def load(self) -> AsyncGenerator[Load]:
        """Make calls while the block runs; fails if one of them fails or none is made."""
        load = Load(self.gateway)
        running = asyncio.create_task(load.run())
        try:
            await load.more()
            yield load
            await load.more()
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        assert set(load.statuses) == {200}, (load.statuses, load.errors[:5])

    async def held(self) -> int:
        """Order a transfer whose service waits until it is released; return the status."""
        body = BODY | {"memo": "held"}
        return (
            await self.gateway.call("POST", TRANSFER, token=_token(self.gateway), json=body)
        ).status

    async def synced(self, names: Iterable[str] = PROXIES) -> None:
        """Wait until these proxies have acknowledged all that is in force."""
        nodes = {name if "-" in name else f"{name}-0" for name in names}

        async def all_synced() -> bool:
            found = (await self.plane.get("proxies"))["proxies"]
            states = {each["node"]: each for each in found if each["node"] in nodes}
            return states.keys() == nodes and all(
                each["state"] == "SYNCED" and each["acked"] == each["version"]
                for each in states.values()
            )

        try:
            await until(all_synced, what=f"{sorted(nodes)} are SYNCED")
        except TimeoutError as error:
            found = await self.plane.get("proxies")
            raise TimeoutError(f"{error}: {found}\n{self.plane.log}") from error

    async def listeners(self) -> dict[str, dict[str, int]]:
        """Return how often each proxy has changed its listeners."""
        return {name: await self.rig.stats(name, LISTENERS) for name in PROXIES}

    async def restored(self) -> None:
        """Restart each proxy that a failed test left dead, or on its last good files."""
        for name in PROXIES:
            alive = self.rig.envoys[name].returncode is None
            if alive and self.rig.started_from(name) == proxy_start.STREAM:
                continue
            if alive:
                await self.rig.kill(name)
            await self.rig.start([name])

    async def reset(self, files: Mapping[str, bytes]) -> None:
        """Give the active folder these files, whatever a test left there, and wait for them."""
        plane = self.plane
        said = await plane.apply(dict(files))
        assert said.status == 200, said
        await plane.in_force(int(said.body["revision"]["number"]))
        await self.synced()

    def with_second(self, state: str = "READY") -> None:
        """List a second instance of customers in the endpoints file."""
        run = self.rig.home / "run" / SECOND
        run.mkdir(mode=0o700, exist_ok=True)
        if SECOND not in self.rig.mtls:
            self.rig.mtls[SECOND] = free_port()
        one: dict[str, Any] = {
            "address": f"127.0.0.1:{self.rig.mtls[SECOND]}",
            "state": state,
            "app_sockets": [str(self.rig.socket_in(SECOND))],
            "outbound_socket": str(self.rig.socket_out(SECOND)),
            "admin_socket": str(self.rig.admin_socket(SECOND)),
        }
        self.instances({"address": f"127.0.0.1:{self.rig.mtls['customers']}"}, one)

    def instances(self, *instances: dict[str, Any]) -> None:
        """List these instances of customers in the endpoints file."""
        services: Any = self.rig.places["services"]
        place = {key: value for key, value in services["customers"].items() if key != "mtls"}
        services["customers"] = {**place, "instances": list(instances)}
        self.rig.write_endpoints()


@asynccontextmanager
async def open_piloted() -> AsyncGenerator[Piloted]:
    """Start the control plane, apply the bank's own configuration, and start three proxies."""
    rig, issuer, first, second = StreamRig(), Issuer(), Seen(), Seen()
    servers = [
        await serve(rig.socket_in("payments"), Payments(first)),
        await serve(rig.socket_in("customers"), Customers(first)),
    ]
    try:
        oauth = rig.home / "partners" / "oauth.example"
        await issuer.start(rig.partner_port["oauth.example"], oauth)
        await rig.plane.start()
        await rig.plane.applied(config_folder.read(ctl.CONFIG))
        await rig.start(PROXIES)
        connector = aiohttp.TCPConnector(ssl=client_context(rig.mesh_ca.pem))
        async with aiohttp.ClientSession(connector=connector) as session:
            gateway = Gateway(rig, issuer, first, session, issuer.token(SUBJECT))
            made = Piloted(rig, gateway, first, second)
            await until(lambda: _answers(gateway), what="the gateway has the issuer's keys")
            yield made
    finally:
        if rig.plane.process is not None:
            await rig.plane.kill()
        await rig.close()
        for server in servers:
            await server.stop(None)
        await issuer.close()
        shutil.rmtree(rig.home, ignore_errors=True)


async def _answers(gateway: Gateway) -> bool:
    return (await gateway.call("GET", BALANCE)).status == 200


def _token(gateway: Gateway) -> str:
    """Return a new token: on a busy host the tests take longer than one is valid."""
    return gateway.issuer.token(SUBJECT)
