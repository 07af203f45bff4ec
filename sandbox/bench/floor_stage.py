"""Puts the floor in payments' place and payments back: `async with floor_in_place(stand, …)`."""

from __future__ import annotations

import asyncio
import signal
import sys
import uuid
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

from sandbox.bench.floor import DATABASE
from sandbox.bench.stand import Stand
from sandbox.stack import launch
from sandbox.stack.home import REPO
from sandbox.stack.parts.postgres import Postgres
from sandbox.stack.parts.services import Services
from sandbox.stack.probes import GrpcHealthProbe
from sandbox.stack.provision.migrations import migrate_database

PLACE = "payments"
READY_WITHIN_S = 20.0
BALANCE = 1_000_000_00


@asynccontextmanager
async def floor_in_place(stand: Stand, account_ids: Sequence[uuid.UUID]) -> AsyncGenerator[int]:
    """Stop payments and serve the floor on its socket; gives the floor's pid."""
    await _make_database(stand, account_ids)
    await asyncio.to_thread(stand.stack.stop, PLACE)
    try:
        process = await _start(stand)
        try:
            yield process.pid
        finally:
            process.send_signal(signal.SIGTERM)
            await process.wait()
    finally:
        await asyncio.to_thread(stand.stack.start, PLACE)
        await _drop_database(stand)


async def _start(stand: Stand) -> asyncio.subprocess.Process:
    home, where = stand.stack.home, stand.where
    services = Services(home, where["BP_OPENBAO_ADDR"], where["BP_KAFKA_BOOTSTRAP"]).specs()
    spec = next(spec for spec in services if spec.name == PLACE)
    process = await launch.start(
        (sys.executable, "-m", "sandbox.bench.floor"),
        env=launch.child_environment(spec.env),
        log=home.logs / "bench-floor.log",
        cwd=REPO,
    )
    probe = GrpcHealthProbe(spec.env["BP_SOCKET_IN"])
    async with asyncio.timeout(READY_WITHIN_S):
        while not await probe.check():
            if process.returncode is not None:
                raise RuntimeError(f"the floor ended; see {home.logs}/bench-floor.log")
            await asyncio.sleep(0.05)
    return process


async def _make_database(stand: Stand, account_ids: Sequence[uuid.UUID]) -> None:
    await _drop_database(stand)
    connection = await stand.connect("postgres")
    try:
        await connection.execute(f"CREATE DATABASE {DATABASE}")
    finally:
        await connection.close()
    where, seed = stand.where, stand.stack.seed
    cluster = Postgres(stand.stack.home, int(where["BP_POSTGRES_PORT"]), seed.postgres_superuser)
    await migrate_database(cluster, stand.stack.home.logs, DATABASE, ("ledger",))
    connection = await stand.connect(DATABASE)
    try:
        amounts = [BALANCE] * len(account_ids)
        await connection.execute(
            "SELECT ledger.seed_accounts($1::uuid[], $2::bigint[])", list(account_ids), amounts
        )
    finally:
        await connection.close()


async def _drop_database(stand: Stand) -> None:
    connection = await stand.connect("postgres")
    try:
        await connection.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
    finally:
        await connection.close()
