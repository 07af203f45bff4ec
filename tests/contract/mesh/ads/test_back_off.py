"""A proxy whose stream is refused comes back after random waits, as its bootstrap says."""

import asyncio
import json
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import grpc
import grpc.aio
import pytest

from mesh.controlplane.deliver.files import write_stream_bootstrap
from mesh.controlplane.deliver.server import SERVICE
from ops.waiting import until
from tests.rigs.mesh.fixed_places import mesh
from tests.rigs.mesh.proxies import ENVOY

NAMES, ROUNDS = ("audit", "customers", "transfers"), 6


def _bootstrap(home: Path, name: str) -> Path:
    """Write the bank's own bootstrap of a proxy, with a socket below `home`."""
    found = next(each for each in mesh().sidecars if each.workload.name == name)
    workload = replace(found.workload, admin_socket=home / f"{name}-admin.sock")
    path = home / f"{name}.json"
    write_stream_bootstrap(workload, home / f"{name}.sock", path)
    return path


@asynccontextmanager
async def _refusing(path: Path, name: str, came: list[str]) -> AsyncGenerator[None]:
    """Refuse each stream on a socket, and note whose it was."""

    async def refuse(_requests: Any, context: Any) -> None:
        came.append(name)
        await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many new streams; retry")

    handler = grpc.stream_stream_rpc_method_handler(cast(Any, refuse))
    server = grpc.aio.server()
    methods = {"DeltaAggregatedResources": handler}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, methods),))
    server.add_insecure_port(f"unix:{path}")
    await server.start()
    try:
        yield
    finally:
        await server.stop(None)


@asynccontextmanager
async def _refused(home: Path, name: str, came: list[str]) -> AsyncGenerator[None]:
    """Run a proxy all of whose streams are refused."""
    start = _bootstrap(home, name)
    async with _refusing(home / f"{name}.sock", name, came):
        envoy = await asyncio.create_subprocess_exec(
            *(str(ENVOY), "-c", str(start), "--concurrency", "1", "--disable-hot-restart"),
            *("--log-level", "error"),
        )
        try:
            yield
        finally:
            envoy.kill()
            await envoy.wait()


def test_the_bootstrap_says_how_long_a_proxy_waits(tmp_path: Path) -> None:
    written: Any = json.loads(_bootstrap(tmp_path, NAMES[0]).read_text())
    (service,) = written["dynamic_resources"]["ads_config"]["grpc_services"]
    waits = service["envoy_grpc"]["retry_policy"]["retry_back_off"]
    assert waits == {"base_interval": "0.100s", "max_interval": "5s"}


@pytest.mark.timeout(240)
async def test_refused_proxies_come_back_after_random_waits() -> None:
    """With equal waits they would always come in the same order, once each in a round."""
    came: list[str] = []

    async def enough() -> bool:
        return all(came.count(name) >= ROUNDS for name in NAMES)

    with tempfile.TemporaryDirectory(prefix="bpw-", dir="/tmp") as folder:
        home = Path(folder)
        async with (
            _refused(home, NAMES[0], came),
            _refused(home, NAMES[1], came),
            _refused(home, NAMES[2], came),
        ):
            await until(enough, 60, "all proxies try again")
    assert came != came[: len(NAMES)] * (len(came) // len(NAMES)) + came[: len(came) % len(NAMES)]
