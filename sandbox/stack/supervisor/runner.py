"""Runs one process: start, readiness, restart after a crash, drain and stop.

A `Runner` owns one process at a time and publishes its state in `state`. The supervisor decides the
order between processes.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from sandbox.stack.supervisor import launch, listening, logfiles
from sandbox.stack.supervisor.nodes import ProcessSpec, State

log = logging.getLogger("stack")

PROBE_FIRST_S = 0.03
PROBE_MAX_S = 0.25
_DOUBLED_MAX = 20
"""How often the restart pause can be doubled."""
TELLING_FAILED_STARTS = 2
"""One failed start may be an accident; from this number on, the failures are reported."""


def _pauses_s() -> Iterator[float]:
    """Yield the pauses between two looks at a starting process, in seconds; they grow."""
    pause_s = PROBE_FIRST_S
    while True:
        yield pause_s
        pause_s = min(pause_s * 1.3, PROBE_MAX_S)


class Runner:
    """One supervised process. All methods run on the supervisor's event loop."""

    def __init__(self, spec: ProcessSpec, log_file: Path) -> None:
        """Start nothing yet."""
        self.spec = spec
        self.log_file = log_file
        self.state = State.WAITING
        self.reason = ""
        self.restarts = 0
        self.ready_after_s = 0.0
        self.failed_starts = 0
        self.exit_code: int | None = None
        self._log_end: list[str] = []
        self._begun = 0.0
        self._is_up = False
        self._is_kept = False
        """Whether it is never given up, because it was ready or has listened."""
        self._process: asyncio.subprocess.Process | None = None
        self._task: asyncio.Task[None] | None = None
        self._changed = asyncio.Condition()
        self._recent_restarts: deque[float] = deque()

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        alive = self._process is not None and self._process.returncode is None
        return self._process.pid if self._process is not None and alive else None

    async def start(self) -> None:
        """Start the process and keep it running, without waiting. A second call has no effect."""
        if self._task is None or self._task.done():
            self.reason = ""
            self.failed_starts, self.exit_code, self._log_end = 0, None, []
            self._begun = time.monotonic()
            self._recent_restarts.clear()
            # No await before the task exists, so that a `stop` meanwhile stops it.
            self._task = asyncio.create_task(self._keep_running(), name=self.spec.name)
            await self._set(State.STARTING)

    async def wait_ready(self) -> bool:
        """Wait until it is ready (True), or has failed or was stopped (False)."""
        done = (State.READY, State.FAILED, State.STOPPED)
        async with self._changed:
            await self._changed.wait_for(lambda: self.state in done)
        return self.state is State.READY

    async def stop(self) -> None:
        """Drain, signal, and kill the process if it does not end in time; do not restart it."""
        if self._task is None or self._task.done():
            await self._set(State.STOPPED)
            return
        await self._set(State.STOPPING)
        await self._drain()
        # No await before the signal, so that the task does not treat the exit as a crash.
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self._end_process()
        await self._set(State.STOPPED)

    async def is_well(self) -> bool:
        """Return whether it is ready and its probe succeeds at the moment."""
        return self.state is State.READY and await self.spec.probe.check()

    def kill(self, number: signal.Signals) -> int | None:
        """Send a signal to simulate a crash; the restart policy then applies."""
        pid = self.pid
        if pid is not None:
            os.kill(pid, number)
        return pid

    async def _keep_running(self) -> None:
        while True:
            log_begin = logfiles.size(self.log_file)
            self.exit_code, self._is_up = None, False
            try:
                ended = await self._run_once()
            except (OSError, RuntimeError) as error:
                ended = str(error)
            await self._end_process()
            self.reason = ended
            self.failed_starts += not self._is_up
            self._log_end = logfiles.last_errors(self.log_file, log_begin)
            log.warning("%s: %s", self.spec.name, ended)
            delay_s = self._restart_delay_s()
            if delay_s is None:
                await self._set(State.FAILED)
                return
            await self._set(State.BACKOFF)
            await asyncio.sleep(delay_s)
            self.restarts += 1

    async def _run_once(self) -> str:
        """Start, wait until ready, wait for the end; return how it ended, as text."""
        begun, within_s = time.monotonic(), self.spec.ready_within_s
        await self._set(State.STARTING)
        if self.spec.prepare is not None:
            await self.spec.prepare()
        self._process = process = await launch.start(
            self.spec.command,
            env=launch.child_environment(self.spec.env),
            log=self.log_file,
            cwd=self.spec.cwd,
            user=self.spec.user,
            death_signal=self.spec.death_signal,
        )
        exited = asyncio.create_task(process.wait())
        ready = asyncio.create_task(self._become_ready(process.pid))
        try:
            await asyncio.wait(
                (exited, ready),
                timeout=within_s,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if exited.done():
                return f"{self._ending(exited.result())} before it was ready"
            if not ready.done():
                return self._not_ready(process.pid, within_s)
            ready.result()
            self.ready_after_s = time.monotonic() - begun
            self.failed_starts, self._is_up, self._is_kept = 0, True, True
            await self._set(State.READY)
            return await self._end_of_life(exited)
        finally:
            exited.cancel()
            ready.cancel()

    async def _end_of_life(self, exited: asyncio.Task[int]) -> str:
        """Wait until the process exits, or kill it when it has not answered for too long."""
        silent = asyncio.create_task(self._fall_silent())
        try:
            await asyncio.wait((exited, silent), return_when=asyncio.FIRST_COMPLETED)
            if exited.done():
                return self._ending(exited.result())
            ended = f"killed: no answer for {silent.result():.0f} s"
            self.kill(signal.SIGKILL)  # a hung process would not handle SIGTERM
            await exited
            return ended
        finally:
            silent.cancel()

    async def _fall_silent(self) -> float:
        """Wait until the time without an answer reaches the limit; return it in seconds.

        Time in which this supervisor itself did not run (a suspended machine) is not counted.
        """
        liveness = self.spec.liveness
        if liveness is None:
            return await asyncio.Future()
        silent_s = 0.0
        while silent_s < liveness.silent_s_max:
            begun = time.monotonic()
            await asyncio.sleep(liveness.asked_every_s)
            if await liveness.probe.check():
                silent_s = 0.0
            else:
                silent_s += min(time.monotonic() - begun, 3 * liveness.asked_every_s)
        return silent_s

    def _ending(self, code: int) -> str:
        self.exit_code = code
        return f"exited with {code}" if code >= 0 else f"ended by {signal.Signals(-code).name}"

    def trouble(self) -> str:
        """Return a message about a process that was given up or repeatedly fails to start, with the
        end of its log; empty when there is none."""
        starting = self.state in (State.STARTING, State.BACKOFF)
        failing = starting and self.failed_starts >= TELLING_FAILED_STARTS
        if self.state is not State.FAILED and not failing:
            return ""
        starts = f", failed starts: {self.failed_starts}" if self.failed_starts else ""
        given_up = ", given up" if self.state is State.FAILED else ""
        head = f"{self.reason}{starts}{given_up}; {self.log_file}"
        if not self._log_end:
            return f"{head} has no new lines"
        return "\n    ".join((f"{head} ends:", *self._log_end))

    def _not_ready(self, pid: int, within_s: float) -> str:
        return f"{self._missing_port(pid)}not ready within {within_s:g} s"

    def _missing_port(self, pid: int) -> str:
        missing = [port for port in self.spec.ports if not listening.listens(pid, port)]
        return f"it does not listen on port {missing[0]}; " if missing else ""

    async def _become_ready(self, pid: int) -> None:
        if self.spec.after_start is not None:
            await self.spec.after_start()
        if self.spec.listens_within_s is not None:
            await self._listen(pid, self.spec.listens_within_s)
        pauses_s = _pauses_s()
        # Another program may listen on the port and would answer the probe.
        while self._missing_port(pid) or not await self.spec.probe.check():  # noqa: ASYNC110
            await asyncio.sleep(next(pauses_s))

    async def _listen(self, pid: int, within_s: float) -> None:
        """Wait until it listens on its ports, from when on it is never given up. RuntimeError if it
        does not listen in time: a proxy whose port is taken keeps running without it.

        A start that fails later is still a failed start, so a process that crashes again and again
        before it is ready is reported.
        """
        pauses_s = _pauses_s()
        try:
            async with asyncio.timeout(within_s):
                while self._missing_port(pid):  # noqa: ASYNC110 another process
                    await asyncio.sleep(next(pauses_s))
        except TimeoutError as error:
            raise RuntimeError(self._not_ready(pid, within_s)) from error
        self._is_kept = True

    def _restart_delay_s(self) -> float | None:
        """Return the pause before the next start, or None when the process is given up."""
        policy = self.spec.restart
        now = time.monotonic()
        if not self._is_kept and (
            self.failed_starts >= policy.first_starts_max
            or now - self._begun >= policy.first_start_within_s
        ):
            return None
        while self._recent_restarts and self._recent_restarts[0] < now - policy.window_s:
            self._recent_restarts.popleft()
        count = len(self._recent_restarts)
        self._recent_restarts.append(now)
        return min(policy.delay_first_s * 2 ** min(count, _DOUBLED_MAX), policy.delay_max_s)

    async def _drain(self) -> None:
        if self.spec.stop.drain is None or self.pid is None:
            return
        try:
            await asyncio.wait_for(self.spec.stop.drain(), self.spec.stop.kill_after_s)
        except (OSError, TimeoutError) as error:
            log.warning("%s: drain did not finish: %s", self.spec.name, error)

    async def _end_process(self) -> None:
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.send_signal(self.spec.stop.signal)
        try:
            await asyncio.wait_for(process.wait(), self.spec.stop.kill_after_s)
        except TimeoutError:
            log.warning("%s: killed: it did not stop in time", self.spec.name)
            process.kill()
            await process.wait()

    async def _set(self, state: State) -> None:
        async with self._changed:
            self.state = state
            self._changed.notify_all()
