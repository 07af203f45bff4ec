"""What the supervisor reports about unknown names and about the cause of a failed start."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import pytest

from sandbox.stack.supervisor.nodes import JobSpec, State, StopPolicy
from sandbox.stack.supervisor.supervisor import StackError, Stopping
from tests.integration.stack.test_supervisor import (
    Exists,
    comes_true,
    process,
    supervisor,
)
from tests.integration.stack.test_supervisor import (
    run_directory_in_the_home as run_directory_in_the_home,
)


async def test_a_name_without_a_process_is_refused_with_the_reason(tmp_path: Path) -> None:
    async def nothing() -> None:
        pass

    bank = supervisor(tmp_path, process("app"), JobSpec("migrations", nothing))
    strange = "no part is called nonsense; the parts are app, migrations"
    for act in (bank.restart, bank.start_one, bank.stop_one, lambda name: bank.ensure([name])):
        with pytest.raises(StackError, match=strange):
            await act("nonsense")
    for act in (bank.restart, bank.start_one, bank.stop_one):
        with pytest.raises(StackError, match="migrations has no process: it is a job"):
            await act("migrations")
    with pytest.raises(StackError, match="migrations has no process"):
        bank.kill("migrations", signal.SIGKILL)


async def test_a_supervisor_that_is_stopping_starts_nothing_and_says_why(tmp_path: Path) -> None:
    """Regression: what it started was not stopped with the rest, and the caller got no answer."""
    drained = asyncio.Event()

    async def drain() -> None:
        await drained.wait()

    bank = supervisor(tmp_path, process("app", stop=StopPolicy(drain=drain)), process("other"))
    await bank.ensure(["app"])
    assert not bank.stopping
    ending = asyncio.create_task(bank.stop_all())
    await comes_true(lambda: bank.runners["app"].state is State.STOPPING)
    for act in (bank.restart, bank.start_one, lambda name: bank.ensure([name])):
        with pytest.raises(Stopping, match="the bank is stopping"):
            await act("other")
    drained.set()
    await ending
    assert bank.runners["other"].pid is None


async def test_a_restart_during_which_everything_stops_starts_nothing(tmp_path: Path) -> None:
    """Regression: the process was started after the others had stopped, and kept running."""
    drained = asyncio.Event()

    async def drain() -> None:
        await drained.wait()

    bank = supervisor(tmp_path, process("app", stop=StopPolicy(drain=drain)))
    await bank.ensure(["app"])
    restarting = asyncio.create_task(bank.restart("app"))
    await comes_true(lambda: bank.runners["app"].state is State.STOPPING)
    ending = asyncio.create_task(bank.stop_all())
    await comes_true(lambda: bank.stopping)
    drained.set()
    await ending
    try:
        with pytest.raises(Stopping, match="the bank is stopping"):
            await restarting
        assert bank.runners["app"].pid is None
    finally:
        await bank.runners["app"].stop()


async def test_a_caller_that_waits_for_a_start_learns_that_everything_stops(tmp_path: Path) -> None:
    """Regression: `ensure` was cancelled, so its caller got no answer; `start_one` answered that
    the process was not ready."""
    never = Exists(tmp_path / "never")
    bank = supervisor(tmp_path, process("app", probe=never), process("other", probe=never))
    ensuring = asyncio.create_task(bank.ensure(["app"]))
    starting = asyncio.create_task(bank.start_one("other"))
    await comes_true(lambda: all(runner.pid for runner in bank.runners.values()))
    await bank.stop_all()
    for waiting in (ensuring, starting):
        with pytest.raises(Stopping, match="the bank is stopping"):
            await waiting


async def test_a_part_that_went_down_is_named_with_the_part_that_failed_for_lack_of_it(
    tmp_path: Path,
) -> None:
    up = tmp_path / "up"
    up.touch()
    code = (
        f"import pathlib, sys, time; p = pathlib.Path({str(up)!r})\n"
        "while p.exists(): time.sleep(0.01)\n"
        "sys.exit('no space left on device')"
    )
    store = process("store", command=(sys.executable, "-c", code), probe=Exists(up))

    async def migrate() -> None:
        up.unlink()
        await comes_true(bank.runners["store"].trouble)
        raise RuntimeError("bad connection")

    bank = supervisor(
        tmp_path,
        store,
        process("sound"),
        JobSpec("migrations", migrate, ("store", "sound")),
        process("app", depends_on=("migrations",)),
    )
    with pytest.raises(StackError) as raised:
        await bank.ensure([])
    said = str(raised.value)
    assert said.startswith("store: exited with 1")
    assert "no space left on device" in said
    assert said.endswith("migrations: RuntimeError: bad connection")
    assert "sound" not in said
    await bank.stop_all()
