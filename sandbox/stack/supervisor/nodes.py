"""What the supervisor runs, as data: processes that stay and jobs that end.

Nothing here starts anything. A node names what must be ready before it; a process also says how
its readiness is seen, how often it may be restarted and how it is stopped.
"""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from pathlib import Path

from ops.waiting import scaled_s
from sandbox.stack.supervisor.launch import OsUser
from sandbox.stack.supervisor.probes import Probe

Action = Callable[[], Awaitable[None]]


class Layer(IntEnum):
    """Layers are stopped from the highest to the lowest, so that a draining part keeps below it
    what it needs to finish its work."""

    STORE = 10
    PARTNER = 20
    SIDECAR = 30
    SERVICE = 40
    GATEWAY = 50


class State(StrEnum):
    """Where a node is in its life."""

    WAITING = "waiting"
    STARTING = "starting"
    READY = "ready"
    BACKOFF = "backoff"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FAILED = "failed"


@dataclass(frozen=True)
class RestartPolicy:
    """Restart after an exit that nobody asked for; each restart of the last `window_s` doubles the
    pause before the next.

    What was ready once is never given up: a full disk may be full for hours. What was never ready
    under this supervisor is, after `first_starts_max` failed starts in a row or
    `first_start_within_s`: a mistake in it is likelier than a need that is away.
    """

    window_s: float = 300.0
    first_starts_max: int = 5
    first_start_within_s: float = field(default_factory=lambda: scaled_s(150))
    delay_first_s: float = 0.1
    delay_max_s: float = 15.0


@dataclass(frozen=True)
class Liveness:
    """Whether a process that runs still answers; any answer counts, even that it cannot serve.

    `asked_every_s` and the answer's time-out are short beside `silent_s_max`, so that a machine
    that is merely busy costs a miss and not a process.
    """

    probe: Probe
    silent_s_max: float = 30.0
    asked_every_s: float = 5.0


@dataclass(frozen=True)
class StopPolicy:
    """`drain` first (bounded by its own time-out), then `signal`, then SIGKILL after `kill_s`."""

    signal: signal.Signals = signal.SIGTERM
    kill_after_s: float = field(default_factory=lambda: scaled_s(10))
    drain: Action | None = None


@dataclass(frozen=True)
class ProcessSpec:
    """One long-running process.

    `prepare` runs before every start (write configuration, remove what a crash left);
    `after_start` runs while the process comes up (unsealing), before the probe has to succeed.
    `death_signal` is what the kernel sends when the supervisor itself dies.
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
    restart: RestartPolicy = field(default_factory=RestartPolicy)
    stop: StopPolicy = field(default_factory=StopPolicy)
    liveness: Liveness | None = None
    death_signal: signal.Signals = signal.SIGKILL
    prepare: Action | None = None
    after_start: Action | None = None


@dataclass(frozen=True)
class JobSpec:
    """One step that ends: ready means done. Every job may be repeated at any time."""

    name: str
    run: Action
    depends_on: tuple[str, ...] = ()


Node = ProcessSpec | JobSpec


def closure(nodes: Mapping[str, Node], names: list[str]) -> list[str]:
    """`names` and all they depend on, each after what it needs. Raises KeyError on an unknown."""
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
