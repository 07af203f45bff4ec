"""The life of one process: start, ready, restart after a crash, drain and stop.

A `Runner` owns one process at a time and tells its state through `state` and `changed`. Order
between processes is not decided here.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections import deque
from pathlib import Path

from sandbox.stack import launch
from sandbox.stack.nodes import ProcessSpec, State

log = logging.getLogger("stack")

PROBE_FIRST_S = 0.03
PROBE_MAX_S = 0.25
RUNNING_STATES = (State.STARTING, State.READY, State.BACKOFF)


class Runner:
    """One supervised process. All methods run on the supervisor's event loop."""

    def __init__(self, spec: ProcessSpec, log_file: Path) -> None:
        """Nothing is started yet."""
        self.spec = spec
        self.log_file = log_file
        self.state = State.WAITING
        self.reason = ""
        self.restarts = 0
        self.ready_after_s = 0.0
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
        """Begin to keep the process running; returns at once. No effect when it already is."""
        if self._task is None or self._task.done():
            self.reason = ""
            self._recent_restarts.clear()
            await self._set(State.STARTING)
            self._task = asyncio.create_task(self._keep_running(), name=self.spec.name)

    async def wait_ready(self) -> bool:
        """True when ready, False when it failed or was stopped."""
        done = (State.READY, State.FAILED, State.STOPPED)
        async with self._changed:
            await self._changed.wait_for(lambda: self.state in done)
        return self.state is State.READY

    async def stop(self) -> None:
        """Drain, signal, and kill what does not end in time; then do not start again."""
        if self._task is None or self._task.done():
            await self._set(State.STOPPED)
            return
        await self._set(State.STOPPING)
        await self._drain()
        # No await between the two: the task must not see the exit as a crash.
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self._end_process()
        await self._set(State.STOPPED)

    async def restart(self) -> None:
        """Stop in order, then start."""
        await self.stop()
        await self.start()

    def kill(self, number: signal.Signals) -> int | None:
        """Send a signal as a crash would come; the restart policy then applies."""
        pid = self.pid
        if pid is not None:
            os.kill(pid, number)
        return pid

    async def _keep_running(self) -> None:
        while True:
            try:
                ended = await self._run_once()
            except (OSError, RuntimeError) as error:
                ended = str(error)
            await self._end_process()
            self.reason = ended
            log.warning("%s: %s", self.spec.name, ended)
            delay_s = self._restart_delay_s()
            if delay_s is None:
                await self._set(State.FAILED)
                return
            await self._set(State.BACKOFF)
            await asyncio.sleep(delay_s)
            self.restarts += 1

    async def _run_once(self) -> str:
        """Start, wait until ready, wait for the end; the answer says how it ended."""
        begun = time.monotonic()
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
        ready = asyncio.create_task(self._become_ready())
        try:
            await asyncio.wait(
                (exited, ready),
                timeout=self.spec.ready_within_s,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if exited.done():
                return f"exited with {exited.result()} before it was ready, see {self.log_file}"
            if not ready.done():
                return f"not ready within {self.spec.ready_within_s:g} s, see {self.log_file}"
            ready.result()
            self.ready_after_s = time.monotonic() - begun
            await self._set(State.READY)
            return f"exited with {await exited}"
        finally:
            exited.cancel()
            ready.cancel()

    async def _become_ready(self) -> None:
        if self.spec.after_start is not None:
            await self.spec.after_start()
        pause_s = PROBE_FIRST_S
        while not await self.spec.probe.check():
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 1.3, PROBE_MAX_S)

    def _restart_delay_s(self) -> float | None:
        """How long to wait before the next start, or None when there were too many."""
        policy = self.spec.restart
        now = time.monotonic()
        while self._recent_restarts and self._recent_restarts[0] < now - policy.window_s:
            self._recent_restarts.popleft()
        count = len(self._recent_restarts)
        if count >= policy.restarts_max:
            return None
        self._recent_restarts.append(now)
        return min(policy.delay_first_s * 2**count, policy.delay_max_s)

    async def _drain(self) -> None:
        if self.spec.stop.drain is None or self.pid is None:
            return
        try:
            await asyncio.wait_for(self.spec.stop.drain(), self.spec.stop.kill_after_s)
        except (OSError, TimeoutError) as error:
            log.warning("%s: drain did not end: %s", self.spec.name, error)

    async def _end_process(self) -> None:
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.send_signal(self.spec.stop.signal)
        try:
            await asyncio.wait_for(process.wait(), self.spec.stop.kill_after_s)
        except TimeoutError:
            log.warning("%s: killed, it did not end in time", self.spec.name)
            process.kill()
            await process.wait()

    async def _set(self, state: State) -> None:
        async with self._changed:
            self.state = state
            self._changed.notify_all()
