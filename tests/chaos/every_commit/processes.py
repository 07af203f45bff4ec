"""Runs one or more processes of payments_that_stops in place of the normal payments."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from ops.waiting import FACTOR_VARIABLE, scaled_s, until
from sandbox.stack.home import REPO
from sandbox.stack.parts.services import Services
from sandbox.stack.supervisor import launch
from sandbox.stack.supervisor.probes import GrpcHealthProbe
from tests.chaos.every_commit.gate import Gate, gate_at
from tests.chaos.every_commit.payments_that_stops import PLAN
from tests.rigs.running_bank import Bank

PLACE = "payments"
READY_WITHIN_S = 60.0
ENDED_WITHIN_S = 30.0
"""Longer than a graceful shutdown may take. A process that has not ended by then hangs."""


class Payments:
    """Starts workers that ask at the gate, and restores the normal payments."""

    def __init__(self, bank: Bank, socket: Path, gate: Gate) -> None:
        self._stack = bank.stack
        self._where = bank.where
        self._socket = socket
        self.gate = gate
        self._workers: list[asyncio.subprocess.Process] = []

    async def stand_in(self, workers: int, *, batch_interval_ms: int = 10) -> None:
        """Replace payments. Workers after the first one only drive due transfers."""
        await asyncio.to_thread(self._stack.stop, PLACE)
        settings = {"BP_BATCH_INTERVAL_MS": str(batch_interval_ms)}
        await asyncio.gather(*(self._start(slot, settings) for slot in range(workers)))

    async def die(self) -> None:
        """Kill the workers with SIGKILL, and wait until they have ended. Afterwards no process of
        payments runs."""
        self._kill()
        async with asyncio.timeout(scaled_s(ENDED_WITHIN_S)):
            await asyncio.gather(*(process.wait() for process in self._workers))

    def _kill(self) -> None:
        for process in self._workers:
            if process.returncode is None:
                process.kill()

    async def step_aside(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End the workers, gracefully or by a crash, and let the supervisor start payments."""
        if number != signal.SIGKILL:
            # A graceful shutdown waits for held calls.
            self.gate.open()
        for process in self._workers:
            if process.returncode is None:
                process.send_signal(number)
        try:
            async with asyncio.timeout(scaled_s(ENDED_WITHIN_S)):
                await asyncio.gather(*(process.wait() for process in self._workers))
        finally:
            self._kill()
            self._workers.clear()
            await asyncio.to_thread(self._stack.start, PLACE)

    async def _start(self, slot: int, settings: dict[str, str]) -> None:
        home, where = self._stack.home, self._where
        services = Services(
            home, where["BP_OPENBAO_PRIVATE_ADDR"], where["BP_KAFKA_BOOTSTRAP"]
        ).specs()
        spec = next(spec for spec in services if spec.name == PLACE)
        socket = Path(spec.env["BP_SOCKET_IN"]).with_name(f"in-{slot}.sock")
        socket.unlink(missing_ok=True)
        log = home.logs / f"payments-that-stops-{slot}.log"
        more = {
            "BP_SLOT": str(slot),
            "BP_SOCKET_IN": str(socket),
            PLAN: json.dumps(self._plan()),
            FACTOR_VARIABLE: str(scaled_s(1)),
        }
        process = await launch.start(
            (sys.executable, "-m", "tests.chaos.every_commit.payments_that_stops"),
            env=launch.child_environment({**spec.env, **settings, **more}),
            log=log,
            cwd=REPO,
        )
        self._workers.append(process)
        probe = GrpcHealthProbe(str(socket))

        async def ready() -> bool:
            if process.returncode is not None:
                raise RuntimeError(
                    f"payments_that_stops ended: {log.read_text(errors='replace')[-2000:]}"
                )
            return bool(await probe.check())

        await until(ready, READY_WITHIN_S, f"payments-that-stops-{slot} is ready")

    def _plan(self) -> dict[str, str]:
        folder = Path(self._where["BP_PARTNER_ACH_CA_FILE"]).parent
        return {
            "gate": str(self._socket),
            "ach_url": self._where["BP_PARTNER_ACH_URL"],
            "ca": self._where["BP_PARTNER_ACH_CA_FILE"],
            "cert": str(folder / "bp-client.pem"),
            "key": str(folder / "bp-client.key"),
        }


@asynccontextmanager
async def payments_at_the_gate(bank: Bank) -> AsyncGenerator[Payments]:
    """Open a gate, and always restore the normal payments at the end."""
    socket = bank.stack.home.run / "stops.sock"
    async with gate_at(socket) as gate:
        payments = Payments(bank, socket, gate)
        try:
            yield payments
        finally:
            await payments.step_aside(signal.SIGKILL)
