"""Another process on a service's socket, with the service's environment, for a while."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager

from sandbox.bench.stand import Stand
from sandbox.stack import launch
from sandbox.stack.home import REPO
from sandbox.stack.parts.services import Services
from sandbox.stack.probes import GrpcHealthProbe
from sandbox.waiting import until

READY_WITHIN_S = 20.0


@asynccontextmanager
async def in_place_of(
    stand: Stand, service: str, module: str, more: Mapping[str, str] | None = None
) -> AsyncGenerator[int]:
    """Stop a service and serve a module in its place; gives the pid. The service comes back."""
    await asyncio.to_thread(stand.stack.stop, service)
    try:
        process = await _start(stand, service, module, more or {})
        try:
            yield process.pid
        finally:
            process.send_signal(signal.SIGTERM)
            await process.wait()
    finally:
        await asyncio.to_thread(stand.stack.start, service)


async def _start(
    stand: Stand, service: str, module: str, more: Mapping[str, str]
) -> asyncio.subprocess.Process:
    home, where = stand.stack.home, stand.where
    services = Services(home, where["BP_OPENBAO_ADDR"], where["BP_KAFKA_BOOTSTRAP"]).specs()
    spec = next(spec for spec in services if spec.name == service)
    log = home.logs / f"bench-{module.rpartition('.')[2]}.log"
    process = await launch.start(
        (sys.executable, "-m", module),
        env=launch.child_environment({**spec.env, **more}),
        log=log,
        cwd=REPO,
    )
    probe = GrpcHealthProbe(spec.env["BP_SOCKET_IN"])

    async def serves() -> bool:
        if process.returncode is not None:
            raise RuntimeError(f"{module} ended; see {log}")
        return await probe.check()

    await until(serves, READY_WITHIN_S, f"{module} serves")
    return process
