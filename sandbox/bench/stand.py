"""The bank on the test stand: started for the bench if nothing runs, its stores within reach."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import urlsplit

import asyncpg

from sandbox.stack import control, memory
from sandbox.stack.home import Home
from sandbox.stack.testing import RunningStack


@dataclass
class Stand:
    """A running stack."""

    stack: RunningStack

    @classmethod
    def open(cls, home: Home, *, fresh: bool) -> Stand:
        """Find the stack of a home, or start it; `fresh` begins with empty stores and measures
        the second start, the warm one, too."""
        if control.is_running(home.control_socket):
            stand = cls(RunningStack(home))
            stand.stack.ensure()
            return stand
        if fresh:
            shutil.rmtree(home.root, ignore_errors=True)
            cls._start(home).stack.down()
        return cls._start(home)

    @classmethod
    def _start(cls, home: Home) -> Stand:
        begun = time.monotonic()
        stack = RunningStack.open(home.root)
        stack.ensure()
        memory.write_report(home, time.monotonic() - begun)
        return cls(stack)

    @cached_property
    def where(self) -> dict[str, str]:
        """The addresses."""
        return self.stack.addresses

    @property
    def gateway_host(self) -> str:
        """Name of the edge."""
        return urlsplit(self.where["BP_GATEWAY_URL"]).hostname or "localhost"

    @property
    def gateway_port(self) -> int:
        """Port of the edge."""
        return urlsplit(self.where["BP_GATEWAY_URL"]).port or 443

    async def connect(self, database: str) -> asyncpg.Connection:
        """Return the superuser's connection to a database."""
        return await asyncpg.connect(self.stack.dsn(database))

    def pids(self) -> dict[str, int]:
        """Return the process id of each part, the supervisor's among them."""
        nodes = self.stack.nodes()
        supervisor = control.ask(self.stack.home.control_socket, cmd="ping")["pid"]
        running = {name: node["pid"] for name, node in nodes.items() if node.get("pid")}
        return {**running, "supervisor": supervisor}

    def close(self) -> None:
        """Stop what the bench started."""
        if self.stack.started:
            self.stack.down()
