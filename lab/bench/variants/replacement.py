"""Runs another process in place of a service: same socket, same environment."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager

from lab.bench.test_bench import TestBench
from ops.waiting import until
from sandbox.stack.home import REPO
from sandbox.stack.parts.services import Services
from sandbox.stack.supervisor import launch
from sandbox.stack.supervisor.probes import GrpcHealthProbe

READY_WITHIN_S = 20.0


@asynccontextmanager
async def in_place_of(
    test_bench: TestBench, service: str, module: str, more: Mapping[str, str] | None = None
) -> AsyncGenerator[int]:
    """Stop a service, run `module` in its place and yield its pid; restart the service at the end.

    `more` is added to the service's environment.
    """
    await asyncio.to_thread(test_bench.stack.stop, service)
    try:
        process = await _start(test_bench, service, module, more or {})
        try:
            yield process.pid
        finally:
            process.send_signal(signal.SIGTERM)
            await process.wait()
    finally:
        await asyncio.to_thread(test_bench.stack.start, service)


async def _start(
    test_bench: TestBench, service: str, module: str, more: Mapping[str, str]
) -> asyncio.subprocess.Process:
    home, where = test_bench.stack.home, test_bench.where
    services = Services(home, where["BP_OPENBAO_PRIVATE_ADDR"], where["BP_KAFKA_BOOTSTRAP"]).specs()
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
            raise RuntimeError(f"{module} exited; see {log}")
        return await probe.check()

    await until(serves, READY_WITHIN_S, f"{module} serves")
    return process
