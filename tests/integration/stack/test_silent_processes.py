"""A process that stops answering is restarted, and one that only pauses or refuses is not.

The scenarios run together, because each has to wait for longer than a process may be silent.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest

from ops.waiting import until
from sandbox.stack.supervisor.nodes import Liveness, ProcessSpec, State
from sandbox.stack.supervisor.probes import GrpcAnswers, GrpcHealthProbe
from tests.integration.stack.test_supervisor import (
    comes_true,
    process,
    run_directory_in_the_home,
    supervisor,
)
from tests.rigs.host_speed import waited_out_s

__all__ = ["run_directory_in_the_home"]

HEALTH = """
import asyncio, pathlib, sys
import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
async def main(socket, *when):
    server, servicer = grpc.aio.server(), health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    server.add_insecure_port("unix:" + socket)
    await server.start()
    await servicer.set("", health_pb2.HealthCheckResponse.SERVING)
    if when:
        while not pathlib.Path(when[0]).exists():
            await asyncio.sleep(0.05)
        await servicer.set("", health_pb2.HealthCheckResponse.NOT_SERVING)
    await server.wait_for_termination()
asyncio.run(main(*sys.argv[1:]))
"""


ASKED_EVERY_S = 0.1
ANSWER_S = 0.3
MISSED_S = 0.3
"""Each missing answer counts as this many seconds without an answer."""


@dataclass(frozen=True)
class Noted(GrpcAnswers):
    """Records the result of each health check."""

    answers: list[bool] = field(default_factory=list)

    async def check(self) -> bool:
        self.answers.append(await super().check())
        return self.answers[-1]


def silent_s() -> float:
    """Return the longest silence. On a busy host, a healthy process misses some checks."""
    return waited_out_s(1.5)


Scenario = Callable[[Path], Awaitable[None]]


async def _stops_answering(folder: Path) -> None:
    bank = supervisor(folder, health(folder))
    await bank.ensure([])
    runner = bank.runners["app"]
    stopped = bank.kill("app", signal.SIGSTOP)
    await comes_true(lambda: runner.state is State.READY and runner.pid not in (None, stopped))
    silent = runner.reason.removeprefix("killed: no answer for ").removesuffix(" s")
    assert int(silent) >= int(silent_s())
    assert runner.restarts == 1
    await bank.stop_all()


async def _says_it_cannot_serve(folder: Path) -> None:
    no_more = folder / "no more"
    bank = supervisor(folder, health(folder, str(no_more)))
    await bank.ensure([])
    runner = bank.runners["app"]
    pid = runner.pid
    no_more.touch()

    async def refuses() -> bool:
        return not await runner.spec.probe.check()

    await until(refuses, 10, "the process serves no more")
    await asyncio.sleep(2 * silent_s())
    assert (runner.pid, runner.restarts) == (pid, 0)
    await bank.stop_all()


async def _pauses_and_answers(folder: Path) -> None:
    bank = supervisor(folder, health(folder))
    await bank.ensure([])
    runner = bank.runners["app"]
    assert runner.spec.liveness is not None
    pid, answers = runner.pid, cast(Noted, runner.spec.liveness.probe).answers
    missed_max = silent_s() / MISSED_S
    while runner.pid == pid and answers.count(False) <= 1.5 * missed_max:
        pause = answers.count(False) + missed_max / 3
        bank.kill("app", signal.SIGSTOP)
        await comes_true(lambda p=pause: answers.count(False) >= p or runner.pid != pid)
        bank.kill("app", signal.SIGCONT)
        await comes_true(lambda: answers[-1] or runner.pid != pid)
    assert (runner.pid, runner.restarts) == (pid, 0)
    await bank.stop_all()


def health(folder: Path, *until_there: str) -> ProcessSpec:
    """A process with gRPC health and a liveness check; a file makes it NOT_SERVING."""
    socket = str(folder / "in")
    return process(
        "app",
        command=(sys.executable, "-c", HEALTH, socket, *until_there),
        probe=GrpcHealthProbe(socket),
        liveness=Liveness(Noted(socket, ANSWER_S), silent_s(), ASKED_EVERY_S),
    )


SCENARIOS: tuple[Scenario, ...] = (_stops_answering, _says_it_cannot_serve, _pauses_and_answers)


@pytest.fixture(scope="module")
async def ends(tmp_path_factory: pytest.TempPathFactory) -> dict[Scenario, BaseException | None]:
    """How each scenario ended: its failure, or None."""
    folders = [tmp_path_factory.mktemp("s") for _ in SCENARIOS]
    runs = (scenario(folder) for scenario, folder in zip(SCENARIOS, folders, strict=True))
    found = await asyncio.gather(*runs, return_exceptions=True)
    return dict(zip(SCENARIOS, found, strict=True))


def require_passed(end: BaseException | None) -> None:
    if end is not None:
        raise end


def test_a_process_that_stops_answering_is_restarted(
    ends: dict[Scenario, BaseException | None],
) -> None:
    require_passed(ends[_stops_answering])


def test_a_process_that_says_it_cannot_serve_is_left_alone(
    ends: dict[Scenario, BaseException | None],
) -> None:
    require_passed(ends[_says_it_cannot_serve])


def test_a_process_is_not_killed_for_pauses_with_an_answer_in_between(
    ends: dict[Scenario, BaseException | None],
) -> None:
    require_passed(ends[_pauses_and_answers])
