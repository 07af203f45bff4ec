"""The supervisor's control socket: each line in and each line out is one JSON object.

Commands: ping, status, probe, pids, ensure (names), start, stop, restart, kill (name, signal),
down, and those that the supervisor's owner adds. The answer always has `ok`; if it is false, also
`error`. If the supervisor is stopping everything, the answer to ping and a refusal to start have a
true `stopping`. The file mode of the socket is the access control.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from sandbox.stack.supervisor import private
from sandbox.stack.supervisor.supervisor import StackError, Stopping, Supervisor

Request = dict[str, Any]
Answer = dict[str, Any]
Command = Callable[[Request], Awaitable[Answer]]
LINE_BYTES_MAX = 1024 * 1024


class ControlServer:
    """Answers requests on behalf of one supervisor."""

    def __init__(
        self,
        supervisor: Supervisor,
        more: Mapping[str, Command] | None = None,
        *failures: type[Exception],
    ) -> None:
        """Build the table of commands: the supervisor's own and `more`. `failures` are error types
        of `more` whose message is returned as the answer's `error`."""
        self._supervisor = supervisor
        self._failures = (StackError, OSError, *failures)
        self._commands: dict[str, Command] = {
            "ping": self._ping,
            "status": self._status,
            "probe": self._probe,
            "pids": self._pids,
            "ensure": self._ensure,
            "start": self._start,
            "stop": self._stop,
            "restart": self._restart,
            "kill": self._kill,
            "down": self._down,
            **(more or {}),
        }

    async def serve(self, path: Path) -> asyncio.Server:
        """Listen on `path`; the socket of a crashed supervisor is replaced."""
        path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX)
        private.bind(listener, path)
        return await asyncio.start_unix_server(self._session, sock=listener, limit=LINE_BYTES_MAX)

    async def _session(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                answer = await self._answer(line)
                writer.write(json.dumps(answer).encode() + b"\n")
                await writer.drain()
        except (ConnectionError, ValueError):
            pass  # the caller disconnected or sent a line over the limit
        finally:
            writer.close()

    async def _answer(self, line: bytes) -> Answer:
        try:
            request: Request = json.loads(line)
            command = self._commands[request["cmd"]]
            return {"ok": True, **await command(request)}
        except Stopping as error:
            return {"ok": False, "error": str(error), "stopping": True}
        except self._failures as error:
            return {"ok": False, "error": str(error)}
        except (KeyError, ValueError) as error:
            return {"ok": False, "error": f"bad request: {error!r}"}

    async def _ping(self, _: Request) -> Answer:
        return {"pid": os.getpid(), "stopping": self._supervisor.stopping}

    async def _status(self, _: Request) -> Answer:
        return {"pid": os.getpid(), "nodes": self._supervisor.status()}

    async def _probe(self, _: Request) -> Answer:
        return {"ill": await self._supervisor.ill()}

    async def _pids(self, _: Request) -> Answer:
        runners = self._supervisor.runners
        return {"pids": {name: runner.pid for name, runner in runners.items() if runner.pid}}

    async def _ensure(self, request: Request) -> Answer:
        await self._supervisor.ensure(list(request.get("names", [])))
        return {}

    async def _start(self, request: Request) -> Answer:
        return {"ready": await self._supervisor.start_one(request["name"])}

    async def _stop(self, request: Request) -> Answer:
        await self._supervisor.stop_one(request["name"])
        return {}

    async def _restart(self, request: Request) -> Answer:
        return {"ready": await self._supervisor.restart(request["name"])}

    async def _kill(self, request: Request) -> Answer:
        number = signal.Signals(int(request.get("signal", signal.SIGKILL)))
        return {"pid": self._supervisor.kill(request["name"], number)}

    async def _down(self, _: Request) -> Answer:
        await self._supervisor.stop_all()
        return {}
