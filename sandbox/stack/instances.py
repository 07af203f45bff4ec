"""Further instances of a service while the bank runs: a process and a sidecar of its own each.

An instance is announced to the control plane before its proxy starts, because the control plane
writes the proxy's bootstrap; it gets calls when both processes are ready. Before it stops it
drains: every caller has acknowledged that it gets no new calls, and its last call has ended. The
instances end with the bank, and `make up` starts none of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp

from mesh.pilot.places import folder_name
from ops.provision.roster import GATEWAY, Service, present
from ops.waiting import scaled_s, until
from sandbox.stack.parts import proxy_start
from sandbox.stack.parts.mesh import SIDECAR, Instance
from sandbox.stack.plan import Parts, services_of
from sandbox.stack.supervisor.control_server import Answer, Command, Request
from sandbox.stack.supervisor.supervisor import StackError, Supervisor

VERSION = re.compile(r"[a-z0-9]([a-z0-9.\-]{0,30}[a-z0-9])?")
SYNCED_S = 30.0
IDLE_S = 60.0
"""How long a draining instance may work on its last calls; no call of the mesh takes longer."""
INSTANCES_MAX = 8
_NOT_DONE = (TimeoutError, RuntimeError, aiohttp.ClientError)
"""Errors of the control plane, and what did not happen in time."""


class InstanceControl:
    """The commands of the control socket about instances. One change happens at a time."""

    def __init__(self, parts: Parts, supervisor: Supervisor) -> None:
        self._parts = parts
        self._supervisor = supervisor
        self._running = parts.mesh.instances
        self._one = asyncio.Lock()

    def commands(self) -> dict[str, Command]:
        """Return the commands by name."""
        return {
            "instance-start": self._start,
            "instance-stop": self._stop,
            "instance-list": self._list,
        }

    async def _list(self, _: Request) -> Answer:
        return {"instances": [_shown(each) for each in self._running.values()]}

    async def _start(self, request: Request) -> Answer:
        version = str(request["version"])
        if not VERSION.fullmatch(version):
            raise StackError(f"{version!r} is no version: use letters, digits, dots and dashes")
        async with self._one:
            service = self._service(str(request["service"]))
            made = Instance(service, self._free_number(service), version)
            async with contextlib.AsyncExitStack() as undo:
                undo.push_async_callback(self._give_up, made.node)
                try:
                    await self._bring_up(made, held=bool(request.get("held")))
                except _NOT_DONE as error:
                    raise StackError(f"{made.node} did not start: {error}") from error
                undo.pop_all()
            return {"instance": _shown(self._running[made.node])}

    async def _bring_up(self, made: Instance, *, held: bool) -> None:
        node, plane = made.node, self._parts.mesh.control_plane
        shutil.rmtree(self._parts.home.envoy / node, ignore_errors=True)
        await plane.ask("POST", "undrain", {"instance": node})
        self._parts.cert_agent.add_instance(node, made.service.name)
        self._announce(made)
        socket = plane.places.ads_socket(node)

        async def served() -> bool:
            return socket.exists() and (plane.places.proxy(node) / "stream.json").exists()

        await until(served, SYNCED_S, f"the control plane does not serve {node}")
        self._supervisor.add(self._parts.mesh.sidecar(node))
        self._supervisor.add(services_of(self._parts).spec(made.service, made.number))
        await self._supervisor.ensure([node, f"{node}{SIDECAR}"])
        if held:
            await plane.ask("POST", "drain", {"instance": node})
        self._announce(replace(made, ready=True))
        state = "DRAINING" if held else "READY"
        await until(lambda: self._has_state(node, state), SYNCED_S, f"{node} is not announced")
        await self._require_synced()

    async def _stop(self, request: Request) -> Answer:
        node = str(request["instance"])
        async with self._one:
            if node not in self._running:
                known = ", ".join(self._running) or "none"
                raise StackError(f"{node} is no further instance; there are: {known}")
            drain = {"instance": node, "force": bool(request.get("force"))}
            try:
                await self._parts.mesh.control_plane.ask("POST", "drain", drain)
                await self._require_synced()
                await until(lambda: self._is_idle(node), IDLE_S, f"{node} still works on calls")
            except _NOT_DONE as error:
                raise StackError(f"{node} is not stopped: {error}") from error
            await self._take_down(node)
        return {}

    async def _give_up(self, node: str) -> None:
        """Take down an instance whose start failed; if callers may know it already, it drains."""
        if (each := self._running.get(node)) is not None and each.ready:
            drain = {"instance": node, "force": True}
            with contextlib.suppress(*_NOT_DONE):
                await self._parts.mesh.control_plane.ask("POST", "drain", drain)
            with contextlib.suppress(*_NOT_DONE):
                await self._require_synced()
            with contextlib.suppress(*_NOT_DONE):
                await until(lambda: self._is_idle(node), IDLE_S, f"{node} still works on calls")
        await self._take_down(node)

    async def _take_down(self, node: str) -> None:
        """Stop the service, which still makes calls while it ends, then its sidecar."""
        await self._supervisor.remove(node)
        await self._supervisor.remove(f"{node}{SIDECAR}")
        self._parts.cert_agent.remove_instance(node)
        if self._running.pop(node, None) is not None:
            plane = self._parts.mesh.control_plane
            plane.write_endpoints()
            # Without control plane the mark stays; the next start of this instance removes it.
            with contextlib.suppress(*_NOT_DONE):
                await plane.ask("POST", "undrain", {"instance": node})
        shutil.rmtree(self._parts.home.envoy / node, ignore_errors=True)

    def _announce(self, each: Instance) -> None:
        self._running[each.node] = each
        self._parts.mesh.control_plane.write_endpoints()

    async def _has_state(self, node: str, state: str) -> bool:
        service = self._running[node].service.name
        found = await self._parts.mesh.control_plane.ask("GET", f"services/{service}")
        states = {each["instance"]: each["state"] for each in found["instances"]}
        return states.get(node) == state

    async def _is_idle(self, node: str) -> bool:
        return not await self._parts.mesh.serves_calls(node)

    async def _require_synced(self) -> None:
        """Raise RuntimeError or TimeoutError unless every proxy has what is in force.

        After a restart of the control plane, it takes seconds until proxies connect again.
        """
        target = f"synced?timeout_s={scaled_s(SYNCED_S):g}"

        async def synced() -> bool:
            found = await self._parts.mesh.control_plane.ask("GET", target)
            if found["waiting"]:
                raise RuntimeError(f"not acknowledged by {', '.join(found['waiting'])}")
            return not any(map(self._has_stream, found["not_connected"]))

        await until(synced, SYNCED_S, "a running proxy is not connected to the control plane")

    def _has_stream(self, node: str) -> bool:
        """Return whether a proxy runs and has started with a stream."""
        name = folder_name(node)
        runner = self._supervisor.runners.get(name if name == GATEWAY else f"{name}{SIDECAR}")
        start = self._parts.home.envoy / name / proxy_start.START
        by_stream = start.is_symlink() and start.readlink() == Path(proxy_start.STREAM)
        return runner is not None and bool(runner.pid) and by_stream

    def _service(self, name: str) -> Service:
        meshed = {each.name: each for each in present() if each.sidecar}
        if name not in meshed:
            raise StackError(f"{name} is no service with a proxy; there are {', '.join(meshed)}")
        if sum(each.service.name == name for each in self._running.values()) >= INSTANCES_MAX:
            raise StackError(f"{name} already has {INSTANCES_MAX} further instances")
        return meshed[name]

    def _free_number(self, service: Service) -> int:
        taken = {each.number for each in self._running.values() if each.service == service}
        return next(number for number in range(1, INSTANCES_MAX + 1) if number not in taken)


def _shown(each: Instance) -> dict[str, Any]:
    return {
        "instance": each.node,
        "service": each.service.name,
        "version": each.version,
        "ready": each.ready,
        "folder": folder_name(each.node),
    }
