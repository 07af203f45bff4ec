"""The supervisor's nodes, as data: long-running processes and jobs that end.

Nothing here starts anything. A node names the nodes that must be ready before it. A process also
has a readiness probe, a restart policy and a stop policy.
"""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from pathlib import Path

from ops.waiting import scaled_s
from sandbox.stack.supervisor.launch import OsUser
from sandbox.stack.supervisor.probes import Probe

Action = Callable[[], Awaitable[None]]


class Layer(IntEnum):
    """Layers are stopped from the highest to the lowest, so that the parts that a draining part
    needs are still running."""

    STORE = 10
    PARTNER = 20
    CONTROL_PLANE = 25
    SIDECAR = 30
    SERVICE = 40
    GATEWAY = 50


class State(StrEnum):
    """The state of a node."""

    WAITING = "waiting"
    STARTING = "starting"
    READY = "ready"
    BACKOFF = "backoff"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FAILED = "failed"


@dataclass(frozen=True)
class RestartPolicy:
    """Restart after an unexpected exit; each restart in the last `window_s` doubles the pause
    before the next one.

    A process that was ready once is never given up: a disk may stay full for hours. A process that
    was never ready under this supervisor is given up after `first_starts_max` consecutive failed
    starts or `first_start_within_s`: a defect is then likelier than an unavailable dependency.
    """

    window_s: float = 300.0
    first_starts_max: int = 5
    first_start_within_s: float = field(default_factory=lambda: scaled_s(150))
    delay_first_s: float = 0.1
    delay_max_s: float = 15.0


@dataclass(frozen=True)
class Liveness:
    """Checks that a running process still answers; any answer counts, even NOT_SERVING.

    `asked_every_s` and the probe's timeout are short compared with `silent_s_max`, so that a busy
    machine causes a missed check and not a kill.
    """

    probe: Probe
    silent_s_max: float = 30.0
    asked_every_s: float = 5.0


@dataclass(frozen=True)
class StopPolicy:
    """First `drain`, then `signal`, then SIGKILL. `kill_after_s` bounds the drain, and the time
    between signal and SIGKILL."""

    signal: signal.Signals = signal.SIGTERM
    kill_after_s: float = field(default_factory=lambda: scaled_s(10))
    drain: Action | None = None


@dataclass(frozen=True)
class ProcessSpec:
    """One long-running process.

    `prepare` runs before every start (to write configuration, to remove files of a crash).
    `after_start` runs after the start (to unseal, for example), before the first probe. The process
    is not ready until it listens on each of `ports` itself. `listens_within_s` is for a process
    that serves some callers before it is ready: it is restarted if it does not listen within this
    time, and not given up once it has listened. The kernel sends `death_signal` when the supervisor
    itself dies.
    """

    name: str
    layer: Layer
    command: tuple[str, ...]
    probe: Probe
    depends_on: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    cwd: Path | None = None
    user: OsUser | None = None
    ready_within_s: float = field(default_factory=lambda: scaled_s(60))
    listens_within_s: float | None = None
    restart: RestartPolicy = field(default_factory=RestartPolicy)
    stop: StopPolicy = field(default_factory=StopPolicy)
    liveness: Liveness | None = None
    death_signal: signal.Signals = signal.SIGKILL
    prepare: Action | None = None
    after_start: Action | None = None
    ports: tuple[int, ...] = ()


@dataclass(frozen=True)
class JobSpec:
    """A task that ends; it is ready when it has succeeded. Every job can be repeated safely."""

    name: str
    run: Action
    depends_on: tuple[str, ...] = ()


Node = ProcessSpec | JobSpec


def closure(nodes: Mapping[str, Node], names: list[str]) -> list[str]:
    """Return `names` and all their dependencies, each after its own. KeyError on unknown names."""
    ordered: list[str] = []

    def visit(name: str) -> None:
        if name in ordered:
            return
        for needed in nodes[name].depends_on:
            visit(needed)
        ordered.append(name)

    for name in names:
        visit(name)
    return ordered


def unknown(names: Iterable[str], known: Iterable[str]) -> str:
    """Return the message that these names are no parts, with the names that are."""
    return f"no part is called {', '.join(names)}; the parts are {', '.join(known)}"
