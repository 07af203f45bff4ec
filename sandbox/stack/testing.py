"""A test's handle of a running stack: addresses, logs, kill, restart, wait.

Tests get one through the fixtures of tests/conftest.py. All calls block; they wait for the
supervisor's answer, never for a guessed time.
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ops.provision.credentials import Credentials, load_or_make
from ops.provision.stores import PostgresServer
from ops.waiting import scaled_s
from sandbox.stack import cli, lock
from sandbox.stack.home import Home, home_at
from sandbox.stack.supervisor import control, orphans

READY_WITHIN_S = 90.0


@dataclass
class RunningStack:
    """One home with a supervisor. `started` is true when this session started it."""

    home: Home
    started: bool = False
    through: Sequence[str] = ()
    """The prefix of the command of a supervisor that this session starts."""

    @classmethod
    def open(cls, root: Path, through: Sequence[str] = ()) -> RunningStack:
        """Find or start the supervisor of a home; a new one ends with the calling process."""
        home = home_at(root)
        started = cli.ensure_supervisor(home, dies_with_caller=True, through=through)
        return cls(home, started=started, through=through)

    @classmethod
    def open_empty(cls, root: Path) -> RunningStack:
        """Find the running stack of a home, or start one without the data of earlier runs.

        Raises ValueError if `root` is a link, which may lead to data that somebody needs, and
        TimeoutError if another process holds the home's lock and runs no bank.
        """
        if root.is_symlink():
            raise ValueError(f"{root} is a link; set BP_TEST_HOME to use a folder with its data")
        home = home_at(root)
        # A supervisor holds the lock from before it listens until after it has ended.
        with lock.held(home, scaled_s(READY_WITHIN_S)) as own:
            if own:
                home.create()  # of a run folder that another user made, no process is ended
                orphans.end_all(home.pids_file)
                home.remove_data()
            elif not control.is_running(home.control_socket):
                raise TimeoutError(f"another process holds {home.lock_file}, but runs no bank")
        return cls.open(root)

    def ensure(self, *names: str) -> None:
        """Start these nodes and their dependencies; without names, all nodes."""
        answer = cli.ensure(self.home, list(names), dies_with_caller=True, through=self.through)
        if not answer["ok"]:
            raise RuntimeError(answer["error"])

    @property
    def addresses(self) -> dict[str, str]:
        """BP_GATEWAY_URL, BP_KAFKA_BOOTSTRAP and the rest of BP_HOME/endpoints.json."""
        return json.loads(self.home.endpoints.read_text())

    @property
    def credentials(self) -> Credentials:
        """The sandbox's secrets."""
        return load_or_make(self.home.secrets)

    def dsn(self, database: str, role: str = "postgres") -> str:
        """Return a libpq URL of one database over the Unix socket, as superuser or as a service's
        role (`bp_payments`, `bp_judge`)."""
        made, where = self.credentials, self.addresses
        password = made.postgres_superuser if role == "postgres" else made.role_password(role)
        host, port = where["BP_POSTGRES_HOST"], where["BP_POSTGRES_PORT"]
        return f"postgresql://{role}:{password}@/{database}?host={host}&port={port}"

    def postgres_server(self) -> PostgresServer:
        """Return the PostgreSQL of this stack in the form that provisioning takes."""
        host, port = self.addresses["BP_POSTGRES_HOST"], int(self.addresses["BP_POSTGRES_PORT"])
        password = self.credentials.postgres_superuser
        return PostgresServer(host, port, password, str(self.home.root))

    def nodes(self) -> dict[str, dict[str, Any]]:
        """Return the status rows by name."""
        return {row["name"]: row for row in self._ask(cmd="status")["nodes"]}

    def ill(self) -> list[str]:
        """Return the names of processes that are not ready or whose probe fails at the moment."""
        return self._ask(cmd="probe")["ill"]

    def has(self, name: str) -> bool:
        """Return whether the repository holds this part."""
        return name in self.nodes()

    def pid(self, name: str) -> int | None:
        """Return the process id of a running process, None of a stopped one."""
        return self.nodes()[name].get("pid")

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> int:
        """Send a signal to simulate a crash; return the pid that got it."""
        pid = self._ask(cmd="kill", name=name, signal=int(number))["pid"]
        if pid is None:
            raise RuntimeError(f"{name} is not running")
        return pid

    def restart(self, name: str) -> None:
        """Stop gracefully and start; return when it is ready."""
        self._ready_or_raise(name, self._ask(cmd="restart", name=name)["ready"])

    def stop(self, name: str) -> None:
        """Stop gracefully; it stays stopped."""
        self._ask(cmd="stop", name=name)

    def start(self, name: str) -> None:
        """Start a stopped process; return when it is ready."""
        self._ready_or_raise(name, self._ask(cmd="start", name=name)["ready"])

    def wait_ready(
        self, name: str, *, not_pid: int | None = None, timeout_s: float = READY_WITHIN_S
    ) -> int:
        """Wait until it is ready with another pid than `not_pid` (after a kill); return its pid."""
        deadline = time.monotonic() + scaled_s(timeout_s)
        while time.monotonic() < deadline:
            row = self.nodes()[name]
            # A process that was just killed loses its pid before its state changes.
            if row["state"] == "ready" and row["pid"] not in (None, not_pid):
                return row["pid"]
            time.sleep(0.02)
        raise TimeoutError(f"{name} is not ready: {self.nodes()[name]}\n{self.log(name)[-2000:]}")

    def log(self, name: str) -> str:
        """Return the log of the process so far."""
        file = self.home.logs / f"{name}.log"
        return file.read_text(errors="replace") if file.exists() else ""

    def renew_certificates(self) -> list[str]:
        """Renew every certificate; return the names."""
        return self._ask(cmd="renew-certificates")["renewed"]

    def down(self) -> None:
        """Stop everything."""
        cli.down(self.home)

    def _ready_or_raise(self, name: str, ready: bool) -> None:
        if not ready:
            raise RuntimeError(f"{name} did not become ready:\n{self.log(name)[-2000:]}")

    def _ask(self, timeout_s: float = 120.0, **request: Any) -> dict[str, Any]:
        answer = control.ask(self.home.control_socket, scaled_s(timeout_s), **request)
        if not answer["ok"]:
            raise RuntimeError(answer["error"])
        return answer
