"""The test bench: the running bank that the bench measures, and access to its stores."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar
from urllib.parse import urlsplit

import asyncpg

from sandbox.stack import cli, memory
from sandbox.stack.home import Home
from sandbox.stack.supervisor import control
from sandbox.stack.testing import RunningStack


@dataclass
class TestBench:
    """A running stack."""

    __test__: ClassVar[bool] = False
    """Without this, pytest would collect the class as a test because of its name."""

    stack: RunningStack

    @classmethod
    def open(cls, home: Home, *, fresh: bool) -> TestBench:
        """Return the stack that runs in `home`, or start one.

        With `fresh`, the stack begins with empty stores and is started twice: the second start,
        the warm one, is measured too.
        """
        if control.is_running(home.control_socket):
            test_bench = cls(RunningStack(home))
            test_bench.stack.ensure()
            return test_bench
        if fresh:
            cli.wait_for_end(home)
            shutil.rmtree(home.root, ignore_errors=True)
            cls._start(home).stack.down()
        return cls._start(home)

    @classmethod
    def _start(cls, home: Home) -> TestBench:
        begun = time.monotonic()
        stack = RunningStack.open(home.root)
        stack.ensure()
        memory.write_report(home, time.monotonic() - begun)
        return cls(stack)

    @cached_property
    def where(self) -> dict[str, str]:
        """The addresses of the stack, by the name of their environment variable."""
        return self.stack.addresses

    @property
    def gateway_host(self) -> str:
        """Host name of the gateway."""
        return urlsplit(self.where["BP_GATEWAY_URL"]).hostname or "localhost"

    @property
    def gateway_port(self) -> int:
        """Port of the gateway."""
        return urlsplit(self.where["BP_GATEWAY_URL"]).port or 443

    async def connect(self, database: str) -> asyncpg.Connection:
        """Return a connection to a database as the superuser."""
        return await asyncpg.connect(self.stack.dsn(database))

    def pids(self) -> dict[str, int]:
        """Return the process id of each part, including the supervisor."""
        nodes = self.stack.nodes()
        supervisor = control.ask(self.stack.home.control_socket, cmd="ping")["pid"]
        running = {name: node["pid"] for name, node in nodes.items() if node.get("pid")}
        return {**running, "supervisor": supervisor}

    def close(self) -> None:
        """Stop the stack if the bench started it."""
        if self.stack.started:
            self.stack.down()
