"""Other users' programs may take the port of a proxy or flood it; the proxy recovers."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sys
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
from sandbox.stack.parts.proxy_start import PINNED
from sandbox.stack.ports import Ports
from sandbox.stack.supervisor import listening
from sandbox.stack.supervisor.nodes import Layer, ProcessSpec, RestartPolicy, State
from sandbox.stack.supervisor.probes import HttpProbe
from sandbox.stack.supervisor.runner import PROBE_MAX_S, Runner
from tests.rigs.host_speed import waited_out_s
from tests.rigs.mesh.proxies import Rig, free_port

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
    for name in ("gateway", "payments"):
        # The rig has no control plane, so its proxies start from the files that it rendered.
        (home.envoy / name / PINNED).write_text(str(rig.bootstrap(name)))
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
            return runner._is_kept

        await until(has_listened, 20, "the gateway listens")
        killed = runner.kill(signal.SIGKILL)

        async def another() -> bool:
            assert runner.state is not State.FAILED
            return runner.pid not in (None, killed) and await _listens(runner, port)

        await until(another, 20, "another gateway listens")
    finally:
        await runner.stop()


async def test_a_gateway_that_crashes_before_it_is_ready_is_reported(
    mesh: Mesh,
) -> None:
    """Regression: listening reset the count of failed starts, so `up` waited without a reason."""
    spec = mesh.gateway()
    (port,) = spec.ports
    code = (
        "import pathlib, socket, sys, time\n"
        f"server = socket.create_server(('127.0.0.1', {port}))\n"
        "while not pathlib.Path(sys.argv[1]).exists(): time.sleep(0.01)\n"
        "sys.exit('error: no such listener')"
    )
    has_listened = mesh.home.run / "has-listened"

    class Crashing(Runner):
        async def _listen(self, pid: int, within_s: float) -> None:
            await super()._listen(pid, within_s)
            has_listened.touch()

        async def _run_once(self) -> str:
            has_listened.unlink(missing_ok=True)
            return await super()._run_once()

    spec = replace(
        spec,
        command=(sys.executable, "-c", code, str(has_listened)),
        restart=RestartPolicy(first_starts_max=1, delay_first_s=0.01, delay_max_s=0.01),
    )
    runner = Crashing(spec, mesh.home.logs / "crashing.log")
    await runner.start()
    try:

        async def is_reported() -> bool:
            assert runner.state is not State.FAILED
            assert runner.restarts < 20, "crashes are not reported"
            return "exited with 1 before it was ready, failed starts: 2" in runner.trouble()

        await until(is_reported, 20, "the second crash is reported")
        assert "error: no such listener" in runner.trouble()
    finally:
        await runner.stop()


async def test_the_longer_a_process_does_not_listen_the_rarer_is_the_next_look(
    tmp_path: Path,
) -> None:
    """Each look reads the process's open files, and the supervisor does nothing else meanwhile."""

    class Counting(Runner):
        looks = 0

        def _missing_port(self, pid: int) -> str:
            self.looks += 1
            return super()._missing_port(pid)

    within_s = waited_out_s(0.5)
    spec = ProcessSpec(
        name="mute",
        layer=Layer.GATEWAY,
        command=(sys.executable, "-c", "import time; time.sleep(3600)"),
        probe=HttpProbe("http://mute/ready", unix_socket=str(tmp_path / "absent.sock")),
        ports=(free_port(),),
        listens_within_s=within_s,
        restart=RestartPolicy(first_starts_max=1),
    )
    runner = Counting(spec, tmp_path / "mute.log")
    await runner.start()
    assert not await runner.wait_ready()
    assert "it does not listen on port" in runner.trouble()
    # The pauses grow to their longest in nine looks; without growth there were thirty in a second.
    assert 3 <= runner.looks <= 10 + within_s / PROBE_MAX_S


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
