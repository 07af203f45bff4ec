"""The supervisor: starts nodes in the order of their dependencies and stops them by layer.

Its only input is a table of nodes; it refers to no part by name. `ensure` can be called again at
any time with other names and starts only what is not running.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sandbox.stack.supervisor import logfiles, orphans
from sandbox.stack.supervisor.nodes import JobSpec, Node, ProcessSpec, State, closure, unknown
from sandbox.stack.supervisor.runner import Runner

log = logging.getLogger("stack")

BLOCKED = "a part that it needs failed"


class StackError(Exception):
    """A node is unknown or could not be started; the message names it."""


class Stopping(StackError):
    """The supervisor is stopping everything, so it starts nothing; another one can, once it has
    ended."""


@dataclass
class JobRun:
    """The progress of one job."""

    spec: JobSpec
    state: State = State.WAITING
    reason: str = ""
    ready_after_s: float = 0.0
    task: asyncio.Task[bool] | None = None


@dataclass
class Supervisor:
    """Runs a table of nodes."""

    nodes: dict[str, Node]
    logs: Path
    """Folder of the log files, one per process."""
    pids_file: Path
    """Records the running processes, so that the next supervisor can stop them if this one is
    killed.
    """
    runners: dict[str, Runner] = field(default_factory=dict[str, Runner])
    jobs: dict[str, JobRun] = field(default_factory=dict[str, JobRun])
    stopping: bool = False
    """Whether `stop_all` has begun."""
    _waiters: dict[str, asyncio.Task[bool]] = field(default_factory=dict[str, "asyncio.Task[bool]"])
    _ended: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        """Make a runner or a job record for each node."""
        for node in self.nodes.values():
            self._record(node)

    def _record(self, node: Node) -> None:
        if isinstance(node, ProcessSpec):
            self.runners[node.name] = Runner(node, self.logs / f"{node.name}.log")
        else:
            self.jobs[node.name] = JobRun(node)

    def add(self, node: Node) -> None:
        """Add a node to the table; `ensure` starts it. StackError if its name is taken."""
        self._require_running()
        if node.name in self.nodes:
            raise StackError(f"there is already a part called {node.name}")
        self.nodes[node.name] = node
        self._record(node)

    async def remove(self, name: str) -> None:
        """Stop a process that was added and remove it from the table; it may be absent."""
        if name not in self.runners:
            return
        await self.runners[name].stop()
        if waiter := self._waiters.pop(name, None):
            waiter.cancel()
        self.nodes.pop(name, None)
        self.runners.pop(name, None)
        self._note_pids()

    async def ensure(self, names: list[str]) -> None:
        """Start `names` and their dependencies, as parallel as the dependencies allow.
        Raises StackError with every node that failed, and Stopping if `stop_all` began before."""
        self._require_running()
        for name in names:
            self._require_known(name)
        wanted = closure(self.nodes, names or list(self.nodes))
        for name in wanted:
            self._begin(name)
        results = await self._results(wanted)
        failed = [name for name, ok in zip(wanted, results, strict=True) if not ok]
        if failed:
            causes = [name for name in failed if self._reason(name) != BLOCKED] or failed
            told = [n for n in closure(self.nodes, causes) if n in causes or self._is_down(n)]
            raise StackError("\n".join(f"{name}: {self._trouble(name)}" for name in told))

    async def _results(self, names: list[str]) -> list[bool]:
        """Wait for the starts of nodes; return whether each succeeded. `stop_all` cancels them."""
        waiters = [self._waiters[name] for name in names]
        await asyncio.gather(*waiters, return_exceptions=True)
        self._require_running()
        return [waiter.result() for waiter in waiters]

    def _is_down(self, name: str) -> bool:
        """Return whether a process that was ready is not, so parts that need it may have failed."""
        return name in self.runners and self.runners[name].state is not State.READY

    def _begin(self, name: str) -> None:
        current = self._waiters.get(name)
        if current is not None and not self._must_begin_again(name, current):
            return
        self._waiters[name] = asyncio.create_task(self._bring_up(name))

    def _must_begin_again(self, name: str, task: asyncio.Task[bool]) -> bool:
        if not task.done():
            return False
        if name in self.runners:
            return self.runners[name].state is not State.READY
        return self.jobs[name].state is not State.READY

    async def _bring_up(self, name: str) -> bool:
        needed = [self._waiters[other] for other in self.nodes[name].depends_on]
        if not all(await asyncio.gather(*needed)):
            self._note_blocked(name)
            return False
        if name in self.jobs:
            return await self._run_job(self.jobs[name])
        runner = self.runners[name]
        await runner.start()
        up = await runner.wait_ready()
        self._note_pids()
        return up

    async def _run_job(self, job: JobRun) -> bool:
        begun = time.monotonic()
        job.state, job.reason = State.STARTING, ""
        try:
            await job.spec.run()
        except Exception as error:  # the edge of a job: its failure becomes the node's state
            log.exception("job %s failed", job.spec.name)
            job.state, job.reason = State.FAILED, f"{type(error).__name__}: {error}"
            return False
        job.state, job.ready_after_s = State.READY, time.monotonic() - begun
        return True

    def _note_blocked(self, name: str) -> None:
        if name in self.jobs:
            self.jobs[name].state, self.jobs[name].reason = State.FAILED, BLOCKED
        else:
            self.runners[name].reason = BLOCKED

    def _reason(self, name: str) -> str:
        return self.jobs[name].reason if name in self.jobs else self.runners[name].reason

    def _trouble(self, name: str) -> str:
        return (self.runners[name].trouble() if name in self.runners else "") or self._reason(name)

    def _note_pids(self) -> None:
        pids = {name: runner.pid for name, runner in self.runners.items() if runner.pid}
        orphans.record(self.pids_file, pids)

    def _require_running(self) -> None:
        """Raise Stopping: what is started now would not be stopped with the rest."""
        if self.stopping:
            raise Stopping("the bank is stopping")

    def _require_known(self, name: str) -> None:
        if name not in self.nodes:
            raise StackError(unknown([name], self.nodes))

    def _runner(self, name: str) -> Runner:
        """Return the runner of a process; StackError when the name is unknown or a job's."""
        self._require_known(name)
        if name not in self.runners:
            raise StackError(f"{name} has no process: it is a job, which `up` runs")
        return self.runners[name]

    async def restart(self, name: str) -> bool:
        """Restart one process gracefully; return True when it became ready."""
        runner = self._runner(name)
        self._require_running()
        await runner.stop()
        return await self._start(runner)

    async def stop_one(self, name: str) -> None:
        """Stop one process and leave it stopped."""
        await self._runner(name).stop()

    async def start_one(self, name: str) -> bool:
        """Start one process that was stopped or failed; return True when it became ready."""
        return await self._start(self._runner(name))

    async def _start(self, runner: Runner) -> bool:
        """Start a process; return True when it became ready. Raises Stopping if `stop_all` has
        begun, or begins before it is ready."""
        self._require_running()
        await runner.start()
        up = await runner.wait_ready()
        self._note_pids()
        if not up:
            self._require_running()
        return up

    def kill(self, name: str, number: signal.Signals) -> int | None:
        """Send one process a signal to simulate a crash."""
        return self._runner(name).kill(number)

    async def stop_all(self) -> None:
        """Stop everything, highest layer first, the processes of a layer concurrently."""
        self.stopping = True
        for waiter in self._waiters.values():
            waiter.cancel()
        await asyncio.gather(*self._waiters.values(), return_exceptions=True)
        layers = sorted({r.spec.layer for r in self.runners.values()}, reverse=True)
        for layer in layers:
            members = [r for r in self.runners.values() if r.spec.layer == layer]
            await asyncio.gather(*(runner.stop() for runner in members))
        orphans.record(self.pids_file, {})
        self._ended.set()

    async def wait_ended(self) -> None:
        """Wait until `stop_all` has ended."""
        await self._ended.wait()

    async def look_after_logs(self) -> None:
        """Keep every log file bounded and the pid record current, forever."""
        while True:
            await asyncio.sleep(5)
            self._note_pids()
            logfiles.bound_all(self.logs)

    async def ill(self) -> list[str]:
        """Return the names of processes that are not ready or whose probe fails at the moment."""
        runners = list(self.runners.values())
        well = await asyncio.gather(*(runner.is_well() for runner in runners))
        return [one.spec.name for one, is_well in zip(runners, well, strict=True) if not is_well]

    def status(self) -> list[dict[str, Any]]:
        """Return one row for each node, in the order of the table."""
        return [self._row(name) for name in self.nodes]

    def _row(self, name: str) -> dict[str, Any]:
        if name in self.jobs:
            job = self.jobs[name]
            own_failure = job.state is State.FAILED and job.reason != BLOCKED
            return {
                "name": name,
                "kind": "job",
                "state": job.state,
                "reason": job.reason,
                "trouble": job.reason if own_failure else "",
                "ready_after_s": round(job.ready_after_s, 2),
            }
        runner = self.runners[name]
        return {
            "name": name,
            "kind": "process",
            "state": runner.state,
            "pid": runner.pid,
            "restarts": runner.restarts,
            "failed_starts": runner.failed_starts,
            "exit_code": runner.exit_code,
            "reason": runner.reason,
            "trouble": runner.trouble(),
            "ready_after_s": round(runner.ready_after_s, 2),
            "log": str(runner.log_file),
        }
