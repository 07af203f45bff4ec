"""Other users' programs may take the port of a proxy or flood it; the proxy recovers."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
from collections.abc import AsyncGenerator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from ops.provision.credentials import load_or_make
from ops.waiting import until
from sandbox.stack.home import Home
from sandbox.stack.parts.mesh import Mesh
from sandbox.stack.parts.partners import Partners
from sandbox.stack.ports import Ports
from sandbox.stack.supervisor import listening
from sandbox.stack.supervisor.nodes import RestartPolicy, State
from sandbox.stack.supervisor.runner import Runner
from tests.rigs.host_speed import waited_out_s
from tests.rigs.mesh.proxies import Rig

OPEN_FILES = 400


@pytest.fixture(scope="module")
async def rig() -> AsyncGenerator[Rig]:
    """Certificates and rendered proxies of a home."""
    rig = Rig()
    yield rig
    await rig.close()


@pytest.fixture(scope="module")
def mesh(rig: Rig) -> Mesh:
    """The stack's mesh in that home."""
    home = Home(rig.home)
    home.create()
    chosen = {"gateway": rig.gateway_port, "payments-mtls": rig.mtls["payments"]}
    (home.conf / "ports.json").write_text(json.dumps(chosen))
    ports = Ports(home.conf / "ports.json")
    return Mesh(home, ports, Partners(home, ports, load_or_make(home.secrets)))


@pytest.mark.parametrize(
    ("name", "late"), [("payments-sidecar", False), ("gateway", True)], ids=["before", "at start"]
)
async def test_a_proxy_takes_its_port_when_another_program_has_left_it(
    mesh: Mesh, name: str, late: bool
) -> None:
    """Regression: Envoy cannot bind, and keeps running without the listener."""
    spec = next(one for one in (mesh.gateway(), *mesh.sidecars()) if one.name == name)
    (port,) = spec.ports
    squatter = _listen(port)
    prepare = spec.prepare
    assert prepare is not None

    async def prepare_too_early() -> None:
        squatter.close()
        await prepare()
        squatters.append(_listen(port))

    squatters = [squatter]
    spec = replace(
        spec,
        prepare=prepare_too_early if late else prepare,
        listens_within_s=waited_out_s(1),
        restart=RestartPolicy(delay_first_s=0.01),
    )
    runner = Runner(spec, mesh.home.logs / f"{name}.log")
    await runner.start()
    try:

        async def refused() -> bool:
            return "address already in use" in _log(runner).lower() or "taken by" in runner.reason

        await until(refused, 20, "the port is taken")
        runner.spec = replace(runner.spec, prepare=prepare)
        for one in squatters:
            one.close()
        await until(lambda: _listens(runner, port), 20, "the proxy listens")
    finally:
        await runner.stop()


async def _listens(runner: Runner, port: int) -> bool:
    return runner.pid is not None and listening.listens(runner.pid, port)


def _listen(port: int) -> socket.socket:
    return socket.create_server(("127.0.0.1", port))


def _log(runner: Runner) -> str:
    return runner.log_file.read_text() if runner.log_file.exists() else ""


async def test_a_gateway_that_crashes_while_it_waits_for_keys_is_started_again(mesh: Mesh) -> None:
    """Regression: it was given up, because it had never been ready."""
    spec = mesh.gateway()
    (port,) = spec.ports
    spec = replace(spec, restart=RestartPolicy(delay_first_s=0.01, first_start_within_s=0.0))
    runner = Runner(spec, mesh.home.logs / "gateway.log")
    await runner.start()
    try:

        async def has_listened() -> bool:
            return runner._was_up

        await until(has_listened, 20, "the gateway listens")
        killed = runner.kill(signal.SIGKILL)

        async def another() -> bool:
            assert runner.state is not State.FAILED
            return runner.pid not in (None, killed) and await _listens(runner, port)

        await until(another, 20, "another gateway listens")
    finally:
        await runner.stop()


async def test_a_flood_of_connections_leaves_the_gateway_open_files(
    mesh: Mesh, rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: Envoy ran out of open files before its limit of connections and used all CPU."""
    monkeypatch.setattr("resource.getrlimit", lambda _: (OPEN_FILES, OPEN_FILES))
    rig.places["connections_max"] = mesh.endpoints()["connections_max"]
    rig.render()
    runner = Runner(mesh.gateway(), mesh.home.logs / "gateway.log")
    await runner.start()
    with ExitStack() as flood:
        try:
            await until(lambda: _listens(runner, rig.gateway_port), 20, "the gateway listens")
            for _ in range(OPEN_FILES + 50):
                address = ("127.0.0.1", rig.gateway_port)
                flood.enter_context(socket.create_connection(address))

            async def refused() -> bool:
                counts = await rig.stats("gateway", "downstream_global_cx_overflow")
                return sum(counts.values()) >= OPEN_FILES // 2 + 50

            await until(refused, 20, "connections above the limit are refused")
            limit = Path(f"/proc/{runner.pid}/limits").read_text()
            assert re.search(rf"^Max open files +{OPEN_FILES} +{OPEN_FILES} ", limit, re.M)
            assert len(os.listdir(f"/proc/{runner.pid}/fd")) < OPEN_FILES
        finally:
            await runner.stop()
