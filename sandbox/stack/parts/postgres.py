"""PostgreSQL 18: durable settings (fsync, synchronous commit), sized for two cores.

It listens only on a Unix socket in a folder that no other user can enter, with SCRAM. On a TCP
port, users without a password could take all connections, or take the port itself after a crash.

Root starts it as another user, with paths that this user can reach (`postgres_paths`). Root follows
no link and opens no pipe in that user's folders, because a program that runs as that user could
place one there.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import stat
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from ops.provision.stores import SUPERUSER, PostgresServer
from ops.waiting import scaled_s
from sandbox.stack.home import Home
from sandbox.stack.parts import postgres_paths
from sandbox.stack.supervisor import launch, orphans, private
from sandbox.stack.supervisor.launch import OsUser
from sandbox.stack.supervisor.nodes import JobSpec, Layer, Node, ProcessSpec, StopPolicy
from sandbox.stack.supervisor.probes import SqlProbe, wait_for

PORT = 5432
"""Only part of the socket's name: the server has no TCP port."""
PID_FILE_BYTES_MAX = 4096

CONFIGURATION = """\
# Written by the stack before every start.
listen_addresses = ''
port = {port}
unix_socket_directories = '{sockets}'
unix_socket_permissions = 0700
password_encryption = scram-sha-256
authentication_timeout = 10s
max_connections = 170
superuser_reserved_connections = 5
idle_in_transaction_session_timeout = 60s

fsync = on
synchronous_commit = on
full_page_writes = on
wal_level = replica
wal_compression = on
min_wal_size = 256MB
max_wal_size = 2GB
checkpoint_timeout = 15min
checkpoint_completion_target = 0.9

shared_buffers = 128MB
effective_cache_size = 1GB
work_mem = 4MB
maintenance_work_mem = 64MB
random_page_cost = 1.1
io_method = sync
jit = off
max_parallel_workers_per_gather = 0

autovacuum_naptime = 10s
autovacuum_max_workers = 2
autovacuum_vacuum_scale_factor = 0.05
autovacuum_analyze_scale_factor = 0.05
autovacuum_vacuum_cost_limit = 1000

shared_preload_libraries = 'pg_stat_statements'
pg_stat_statements.max = 2000
track_io_timing = on
compute_query_id = on

timezone = 'UTC'
log_timezone = 'UTC'
log_line_prefix = '%m [%p] %u@%d %a %e '
log_lock_waits = on
log_min_duration_statement = 500ms
# Rows, keys, parameters and literals can be personal data or secrets. So an error is logged only
# with message and SQLSTATE: no DETAIL ("Failing row contains ..."), CONTEXT or STATEMENT. The
# service that caused it logs the call.
log_error_verbosity = terse
log_min_error_statement = panic
log_parameter_max_length = 0
log_parameter_max_length_on_error = 0
"""

ACCESS = """\
# type  database    user  method
local   all         all   scram-sha-256
local   replication all   scram-sha-256
"""


@dataclass(frozen=True)
class Postgres:
    """The PostgreSQL cluster of one state directory."""

    home: Home
    port: int
    password: str
    external_host: str = ""
    copy: Path = field(default_factory=postgres_paths.copy_folder)
    """Of the programs, if the server's user cannot reach the installed ones."""

    @property
    def sockets(self) -> Path:
        """The folder of the Unix socket, which is also the `host` of a connection."""
        return self.home.run / "pg"

    @property
    def host(self) -> str:
        """The host for clients: the folder of the Unix socket, or an external name."""
        return self.external_host or str(self.sockets)

    @property
    def server(self) -> PostgresServer:
        """The server's address and login, for provisioning."""
        external = f"the databases at {self.external_host}:{self.port}"
        location = external if self.external_host else str(self.home.root)
        return PostgresServer(self.host, self.port, self.password, location)

    @property
    def data(self) -> Path:
        """PGDATA."""
        return self.home.data / "postgres"

    def probe(self) -> SqlProbe:
        """Return a probe that runs a query as the superuser."""
        return SqlProbe(self.host, self.port, SUPERUSER, self.password)

    def node(self) -> Node:
        """Return the server process, or a job that waits for an external server."""
        if self.external_host:
            return JobSpec("postgres", lambda: wait_for(self.probe()))
        return self._process()

    def _process(self) -> ProcessSpec:
        """SIGINT is PostgreSQL's fast shutdown, SIGQUIT its immediate one. SIGQUIT also stops its
        child processes when the supervisor has died."""
        paths = self._paths
        return ProcessSpec(
            name="postgres",
            layer=Layer.STORE,
            command=(str(paths.programs / "postgres"), "-D", str(paths.data)),
            cwd=self.data,
            probe=self.probe(),
            user=launch.unprivileged_user(),
            stop=StopPolicy(signal=signal.SIGINT, kill_after_s=scaled_s(20)),
            death_signal=signal.SIGQUIT,
            prepare=self.prepare,
        )

    async def prepare(self) -> None:
        """Create the cluster if missing, write its configuration, remove a crash's pid files."""
        user, paths = launch.unprivileged_user(), self._paths
        owner = (user.uid, user.gid) if user is not None else None
        private.folder(self.sockets)
        if user is not None:
            os.chown(self.sockets, user.uid, user.gid)
        if paths.programs.is_relative_to(self.copy):
            await asyncio.to_thread(postgres_paths.make_copy, self.copy, self.home.programs)
        if not (self.data / "PG_VERSION").exists():
            await self._init(user, paths)
        configuration = CONFIGURATION.format(port=self.port, sockets=paths.sockets)
        private.write(self.data / "postgresql.conf", configuration, owner)
        private.write(self.data / "pg_hba.conf", ACCESS, owner)
        self._remove_stale_pid_files()
        if owner is not None:
            os.chown(self.data, *owner)

    @cached_property
    def _paths(self) -> postgres_paths.Paths:
        """Decided once: the command and the configuration must agree."""
        if os.geteuid() == 0 and postgres_paths.is_closed(self.data):
            return postgres_paths.entered(self.data, self.sockets, self.copy)
        return postgres_paths.direct(self.data, self.sockets)

    async def _init(self, user: OsUser | None, paths: postgres_paths.Paths) -> None:
        shutil.rmtree(self.data, ignore_errors=True)
        private.folder(self.data)
        password_file = self.sockets / "init-password"
        owner = (user.uid, user.gid) if user is not None else None
        private.write(password_file, self.password, owner)
        if owner is not None:
            os.chown(self.data, *owner)
        await launch.run(
            (
                *(str(paths.programs / "initdb"), "-D", str(paths.data), "-U", SUPERUSER),
                *("--pwfile", str(paths.sockets / password_file.name), "--auth=scram-sha-256"),
                *("--encoding=UTF8", "--locale=C.UTF-8", "--no-instructions"),
            ),
            env=launch.child_environment({}),
            log=self.home.logs / "postgres-init.log",
            cwd=self.data,
            user=user,
        )
        password_file.unlink()

    def _remove_stale_pid_files(self) -> None:
        """Remove the pid files of a crash, of the cluster and of the socket: PostgreSQL refuses to
        start if another process has a recorded pid."""
        file = self.data / "postmaster.pid"
        pid = _recorded_pid(file)
        if pid is not None and orphans.start_time(pid) and _is_postgres(pid, self.data):
            return
        file.unlink(missing_ok=True)
        (self.sockets / f".s.PGSQL.{self.port}.lock").unlink(missing_ok=True)


def _recorded_pid(file: Path) -> int | None:
    """Return the pid in a pid file; None if it is missing, has none, or is no regular file."""
    try:
        handle = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    with open(handle, "rb") as opened:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            return None
        first = opened.read(PID_FILE_BYTES_MAX).partition(b"\n")[0].strip()
    return int(first) if first.isdigit() else None


def _is_postgres(pid: int, data: Path) -> bool:
    """Return whether a process works in the cluster's folder, as every process of its server."""
    try:
        return Path(f"/proc/{pid}/cwd").readlink() == data
    except OSError:
        return False
