"""The only wiring of the control plane: watch, compile, check, publish, and the admin API."""

import asyncio
import fcntl
import gc
import logging
import os
import signal
import socket
import time
from pathlib import Path
from typing import Any

from aiohttp import web

from mesh.controlplane import model
from mesh.controlplane.deliver.cache import Cache
from mesh.controlplane.deliver.packed import Kind, NodeSnapshot
from mesh.controlplane.deliver.server import Server
from mesh.controlplane.deliver.warm import Validator
from mesh.pilot.admin import application, json_answer, user_name
from mesh.pilot.checking import Checker
from mesh.pilot.checks import Checks
from mesh.pilot.collecting import Collector
from mesh.pilot.compiling import Compiled, Compiler
from mesh.pilot.config_folder import Content
from mesh.pilot.delivery import Delivery
from mesh.pilot.drained import Drained
from mesh.pilot.expirer import Expirer
from mesh.pilot.expiring import Expiring
from mesh.pilot.guarding import may_deny
from mesh.pilot.history import Revision
from mesh.pilot.kafka_sender import KafkaSender
from mesh.pilot.last_good import LastGood
from mesh.pilot.live import Live
from mesh.pilot.operations import routes
from mesh.pilot.outbox import Outbox
from mesh.pilot.pilot import Pilot
from mesh.pilot.places import NAME, Places
from mesh.pilot.publisher import Publisher
from mesh.pilot.watching import changes
from mesh.pilot.window import Window

UMASK = 0o077
_SOCKET_MODE = 0o600
_RUNNER: dict[str, Any] = {"access_log": None, "shutdown_timeout": 1.0}
"""A caller that waits for proxies must not delay the end of the process."""
RETRY_S = 1.0
"""The pause before an edit is tried again that a full disk prevented."""
SECRETS_RETRY_S = 5.0

log = logging.getLogger("control-plane")


class AlreadyRunning(RuntimeError):
    """Another control plane has the sockets and the history of this home."""


class ControlPlane:
    """One control plane; `run` returns after `stop`."""

    def __init__(self, places: Places, kafka: str = "") -> None:
        """`kafka` is the address of a broker, host:port; without it no event is published."""
        self._places = places
        self._validator = Validator(places.run / NAME / "validator")
        self._checker = Checker(self._validator)
        self._drained, expiring = Drained(places.drained), Expiring(places.expiring)
        self._compiler = Compiler(places.endpoints, self._drained)
        checking = Compiler(places.endpoints, self._drained)
        self._checks = Checks(checking, places.run / NAME / "checks")
        self._last_good = LastGood(places)
        self._cache = cache = Cache(time.time, self._acknowledged)
        self._server = Server(cache)
        self._delivery = Delivery(places, cache, self._server, self._last_good)
        self._pilot = Pilot(
            places,
            self._compile,
            self._publish,
            editor=self._editor,
            check=self._checks.compile,
            approve_edit=self._approve_edit,
        )
        outbox = Outbox(self._pilot.history, places.history)
        self._publisher = Publisher(outbox, KafkaSender(kafka), self._revision) if kafka else None
        self._collector = Collector(Window(), self._mesh, time.monotonic)
        self._live = Live(self._pilot, self._collector, self._compiler.contracts)
        self._expirer = Expirer(self._pilot, expiring, time.time, guard=self._live.guard)
        self._stopped = asyncio.Event()
        self._frozen = False

    def stop(self) -> None:
        """Have `run` return; the proxies keep what they have."""
        self._stopped.set()

    async def run(self) -> None:
        """Serve until `stop`."""
        await self._validator.start()
        addresses = _content(self._places.endpoints)
        await self._pilot.start()
        tasks = [
            asyncio.create_task(each)
            for each in (
                *(self._last_good.run(), self._expirer.run()),
                *(self._follow_config(), self._follow_endpoints(addresses)),
                *(self._retry_secrets(), self._collector.run()),
                *([self._publisher.run()] if self._publisher else []),
            )
        ]
        guard = self._live.guard
        more = routes(self._places, self._pilot, self._drained, self._expirer, guard)
        more.append(web.get("/v1/events", self._events))
        api = application(
            self._pilot, self._delivery, guard, [*more, *self._live.routes()], self._reports
        )
        runner = web.AppRunner(api, **_RUNNER)
        await runner.setup()
        await web.SockSite(runner, _listener(self._places.admin_socket)).start()
        stopped = asyncio.create_task(self._stopped.wait())
        done, _ = await asyncio.wait([stopped, *tasks], return_when=asyncio.FIRST_COMPLETED)
        for task in (stopped, *tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await runner.cleanup()
        await self._server.close()
        await self._validator.close()
        await self._checks.close()
        for task in done - {stopped}:
            task.result()

    async def _compile(self, content: Content) -> Compiled:
        compiled = await self._compiler.compile(content)
        await self._checker.check(compiled)
        return compiled

    async def _approve_edit(self, before: Compiled, after: Compiled) -> None:
        """Raise an error if an edit in place would deny live payments."""
        if may_deny(before, after):
            (await self._live.guard())(before, after)

    def _reports(self) -> list[str]:
        return [*self._pilot.reports(), *self._drained.reports(), *self._expirer.reports()]

    def _revision(self) -> Revision | None:
        """Return the revision in force. It is durable: the state names no other."""
        return self._pilot.state.revision

    async def _events(self, _: web.Request) -> web.Response:
        """Return which revisions have an audit event, and why others wait."""
        found = await self._publisher.progress() if self._publisher else None
        return json_answer({"events": found})

    def _mesh(self) -> model.Mesh | None:
        compiled = self._pilot.state.compiled
        return compiled.mesh if compiled else None

    async def _publish(self, compiled: Compiled) -> None:
        self._collector.expect(compiled.mesh)
        await self._delivery.publish(compiled)
        if not self._frozen:
            # What the first translation has made stays. Each full collection of it would
            # take 100 ms, in the middle of an edit.
            self._frozen = True
            gc.collect()
            gc.freeze()

    def _acknowledged(self, node: str, snapshot: NodeSnapshot) -> None:
        self._delivery.acknowledged(node, snapshot)

    async def _follow_config(self) -> None:
        async for _ in changes([self._places.active]):
            while not await self._pilot.reload():  # noqa: ASYNC110 - it waits for disk space
                await asyncio.sleep(RETRY_S)

    async def _follow_endpoints(self, before: bytes) -> None:
        """Follow the addresses; `before` was read before the first configuration was compiled."""
        async for _ in changes([self._places.endpoints.parent], recursive=False):
            now = await asyncio.to_thread(_content, self._places.endpoints)
            if now not in (b"", before):
                while not await self._readdress():  # noqa: ASYNC110 - it waits for disk space
                    await asyncio.sleep(RETRY_S)
            before = now or before

    async def _retry_secrets(self) -> None:
        """Offer refused secrets again: their files may have been repaired."""
        while True:
            await asyncio.sleep(SECRETS_RETRY_S)
            self._cache.retry(Kind.SECRET)

    async def _readdress(self) -> bool:
        """Publish with the new addresses. Returns False if the machine prevented this."""
        try:
            await self._pilot.recompile()
        except OSError as error:
            log.error("the new addresses must wait: %s", error)
            return False
        # An edit may have waited for these addresses.
        return await self._pilot.reload()

    def _editor(self) -> str:
        """Return the owner of the active folder, the only user who can edit it."""
        try:
            return user_name(self._places.active.stat().st_uid)
        except OSError:
            return user_name(os.geteuid())


def _content(path: Path) -> bytes:
    """Return the bytes of a file, or none if it is absent."""
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _listener(path: Path) -> socket.socket:
    """Return a Unix socket whose file has its mode from the start."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    before = os.umask(0o777 & ~_SOCKET_MODE)
    try:
        listener.bind(str(path))
    finally:
        os.umask(before)
    return listener


def _lock(path: Path) -> int:
    """Return an open file that only one process can have. Raises AlreadyRunning."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _SOCKET_MODE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise AlreadyRunning(
            "another control plane serves these proxies; stop it before you start a new one"
        ) from error
    return descriptor


async def serve(places: Places, kafka: str = "") -> None:
    """Run a control plane until SIGTERM or SIGINT. Raises AlreadyRunning.

    Two at a time would write the same history and take each other's sockets.
    """
    os.umask(UMASK)
    lock = _lock(places.run / NAME / "lock")
    try:
        await _serve(places, kafka)
    finally:
        os.close(lock)


async def _serve(places: Places, kafka: str) -> None:
    plane = ControlPlane(places, kafka)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, plane.stop)
    await plane.run()
