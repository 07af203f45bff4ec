"""The supervisor's rules on small real processes: order, restarts, limits, stopping."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ops.waiting import until
from sandbox.stack import home as home_module
from sandbox.stack.home import Home
from sandbox.stack.supervisor.nodes import (
    JobSpec,
    Layer,
    Node,
    ProcessSpec,
    RestartPolicy,
    State,
    StopPolicy,
    closure,
)
from sandbox.stack.supervisor.supervisor import StackError, Supervisor

SLEEPER = (sys.executable, "-c", "import time; time.sleep(3600)")
DEAF = (
    sys.executable,
    "-c",
    "import signal, time, pathlib, sys\n"
    "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "pathlib.Path(sys.argv[1]).touch()\n"
    "time.sleep(3600)",
)


@dataclass(frozen=True)
class Exists:
    """A probe that succeeds while a file exists."""

    file: Path

    async def check(self) -> bool:
        return self.file.exists()


@dataclass
class Journal:
    """Records the order in which actions ran."""

    lines: list[str] = field(default_factory=list)

    def note(self, line: str):
        async def action() -> None:
            self.lines.append(line)

        return action


@pytest.fixture(autouse=True, scope="module")
def run_directory_in_the_home() -> Iterator[None]:
    """These tests use no sockets, so the run directory may have a long path inside the home."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(home_module, "RUN_DIR_CHARS_MAX", 10_000)
        yield


def supervisor(tmp_path: Path, *nodes: Node) -> Supervisor:
    home = Home(tmp_path / "home")
    home.create()
    return Supervisor({node.name: node for node in nodes}, home.logs, home.pids_file)


def process(name: str, layer: Layer = Layer.SERVICE, **changes: object) -> ProcessSpec:
    settings: dict[str, object] = {"command": SLEEPER, "probe": Exists(Path("/"))} | changes
    return ProcessSpec(name=name, layer=layer, **settings)  # type: ignore[arg-type]


async def comes_true(condition: Callable[[], object]) -> None:
    """Wait for an action of the supervisor, which runs in the same event loop."""

    async def holds() -> object:
        return condition()

    await until(holds, 10)


def test_closure_puts_each_node_after_its_dependencies() -> None:
    nodes = {
        "c": process("c", depends_on=("b",)),
        "a": process("a"),
        "b": process("b", depends_on=("a",)),
    }
    assert closure(nodes, ["c"]) == ["a", "b", "c"]


async def test_a_process_starts_only_after_its_dependencies_are_ready(tmp_path: Path) -> None:
    journal = Journal()
    first = JobSpec("first", journal.note("first"))
    second = process("second", depends_on=("first",), prepare=journal.note("second"))
    bank = supervisor(tmp_path, second, first)
    await bank.ensure(["second"])
    assert journal.lines == ["first", "second"]
    await bank.stop_all()


async def test_a_failed_dependency_blocks_its_dependents_and_is_reported(tmp_path: Path) -> None:
    async def fail() -> None:
        raise ValueError("no disk")

    bank = supervisor(tmp_path, JobSpec("disk", fail), process("app", depends_on=("disk",)))
    with pytest.raises(StackError, match="disk: ValueError: no disk"):
        await bank.ensure([])
    assert bank.runners["app"].pid is None


async def test_a_second_ensure_runs_only_the_failed_nodes(tmp_path: Path) -> None:
    journal, broken = Journal(), [True]

    async def flaky() -> None:
        journal.lines.append("flaky")
        if broken[0]:
            raise ValueError("not yet")

    bank = supervisor(tmp_path, JobSpec("sound", journal.note("sound")), JobSpec("flaky", flaky))
    with pytest.raises(StackError):
        await bank.ensure([])
    broken[0] = False
    await bank.ensure([])
    assert sorted(journal.lines) == ["flaky", "flaky", "sound"]


async def test_a_killed_process_is_started_again(tmp_path: Path) -> None:
    bank = supervisor(tmp_path, process("app"))
    await bank.ensure([])
    runner = bank.runners["app"]
    before = bank.kill("app", signal.SIGKILL)
    await comes_true(lambda: runner.state is State.READY and runner.pid not in (None, before))
    assert runner.restarts == 1
    await bank.stop_all()


async def test_a_running_process_that_does_not_serve_is_unhealthy(tmp_path: Path) -> None:
    up = tmp_path / "up"
    up.touch()
    # After a kill it stays down long enough for a slow host to see it.
    sound = process("sound", restart=RestartPolicy(delay_first_s=3600, delay_max_s=3600))
    bank = supervisor(tmp_path, sound, process("app", probe=Exists(up)))
    await bank.ensure([])
    assert await bank.ill() == []
    up.unlink()
    assert await bank.ill() == ["app"]
    up.touch()
    bank.kill("sound", signal.SIGKILL)
    await comes_true(lambda: bank.runners["sound"].state is not State.READY)
    assert await bank.ill() == ["sound"]
    await bank.stop_all()


async def test_a_process_that_always_fails_is_given_up(tmp_path: Path) -> None:
    bank = supervisor(tmp_path, dying(tmp_path, "", first_starts_max=3))
    with pytest.raises(StackError, match="exited with 3"):
        await bank.ensure([])
    assert bank.runners["app"].state is State.FAILED
    assert bank.runners["app"].restarts == 2


async def test_a_process_that_does_not_become_ready_is_replaced(tmp_path: Path) -> None:
    never, once = Exists(tmp_path / "never"), RestartPolicy(first_starts_max=1)
    bank = supervisor(tmp_path, process("app", probe=never, ready_within_s=0.2, restart=once))
    with pytest.raises(StackError, match="not ready within"):
        await bank.ensure([])
    assert bank.runners["app"].pid is None


async def test_a_process_that_ignores_the_signal_is_killed(tmp_path: Path) -> None:
    up = tmp_path / "up"
    spec = process(
        "deaf", command=(*DEAF, str(up)), probe=Exists(up), stop=StopPolicy(kill_after_s=0.2)
    )
    bank = supervisor(tmp_path, spec)
    await bank.ensure([])
    pid = bank.runners["deaf"].pid
    await bank.stop_all()
    with pytest.raises(ProcessLookupError):
        os.kill(pid or 0, 0)


async def test_layers_stop_from_the_gateway_to_the_stores(tmp_path: Path) -> None:
    journal = Journal()
    nodes = [
        process(str(layer), layer, stop=StopPolicy(drain=journal.note(layer.name)))
        for layer in Layer
    ]
    bank = supervisor(tmp_path, *nodes)
    await bank.ensure([])
    await bank.stop_all()
    assert journal.lines == [
        *("GATEWAY", "SERVICE", "SIDECAR"),
        *("CONTROL_PLANE", "PARTNER", "STORE"),
    ]


async def test_a_stopped_process_stays_stopped_until_it_is_started(tmp_path: Path) -> None:
    bank = supervisor(tmp_path, process("app"))
    await bank.ensure([])
    await bank.stop_one("app")
    assert bank.runners["app"].state is State.STOPPED
    assert await bank.start_one("app")
    await bank.stop_all()


def dying(tmp_path: Path, words: str, **policy: float) -> ProcessSpec:
    """A process that writes `words` and exits with 3 before it is ever ready."""
    return process(
        "app",
        command=(sys.executable, "-c", f"print({words!r}); raise SystemExit(3)"),
        probe=Exists(tmp_path / "never"),
        restart=RestartPolicy(delay_first_s=0.01, **policy),  # type: ignore[arg-type]
    )


async def test_a_process_that_was_never_ready_is_given_up_early_with_the_end_of_its_log(
    tmp_path: Path,
) -> None:
    bank = supervisor(
        tmp_path,
        dying(tmp_path, "error: no such table", first_starts_max=3),
        process("edge", depends_on=("app",)),
        process("sound"),
    )
    with pytest.raises(StackError) as raised:
        await bank.ensure([])
    said = str(raised.value)
    assert said.startswith("app: exited with 3 before it was ready, failed starts: 3, given up")
    assert said.endswith("    error: no such table")
    rows = {row["name"]: row for row in bank.status()}
    assert {name: row["state"] for name, row in rows.items()} == {
        "app": State.FAILED,
        "edge": State.WAITING,
        "sound": State.READY,
    }
    assert rows["app"]["trouble"] in said
    assert (rows["app"]["exit_code"], rows["app"]["pid"]) == (3, None)
    assert rows["edge"]["reason"] == "a part that it needs failed"
    await bank.stop_all()


async def test_a_second_failed_start_is_reported_while_retries_continue(tmp_path: Path) -> None:
    bank = supervisor(tmp_path, dying(tmp_path, "error: no such table", first_starts_max=1000))
    ensuring = asyncio.create_task(bank.ensure([]))
    runner = bank.runners["app"]
    await comes_true(runner.trouble)
    assert not ensuring.done()
    assert runner.failed_starts >= 2
    assert "error: no such table" in runner.trouble()
    await bank.stop_all()
    ensuring.cancel()
    assert runner.trouble() == ""


async def test_a_process_that_was_ready_once_is_not_given_up_after_a_few_failed_starts(
    tmp_path: Path,
) -> None:
    """A dependency may be unavailable for a while; see RestartPolicy."""
    up = tmp_path / "up"
    up.touch()
    code = f"import pathlib, time; pathlib.Path({str(up)!r}).stat(); time.sleep(3600)"
    spec = process(
        "app",
        command=(sys.executable, "-c", code),
        probe=Exists(up),
        restart=RestartPolicy(first_starts_max=1, delay_first_s=0.01, delay_max_s=0.01),
    )
    bank = supervisor(tmp_path, spec)
    await bank.ensure([])
    runner = bank.runners["app"]
    up.unlink()
    bank.kill("app", signal.SIGKILL)
    await comes_true(lambda: runner.failed_starts >= 3)
    again = asyncio.create_task(bank.ensure([]))
    up.touch()
    await again
    # A process that was already exiting may have counted as ready for a moment.
    await comes_true(lambda: runner.state is State.READY and runner.trouble() == "")
    await bank.stop_one("app")
    up.unlink()
    starting = asyncio.create_task(bank.start_one("app"))
    await comes_true(lambda: runner.failed_starts >= 3)
    up.touch()
    assert await starting
    await bank.stop_all()
