"""Runs `bpctl` on a running stack, and corrupts a balance for commands that must report it."""

import os
import subprocess
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg

from ops.waiting import FACTOR_VARIABLE, scaled_s
from sandbox.stack.home import REPO
from sandbox.stack.testing import RunningStack

INHERITED = (FACTOR_VARIABLE, "COVERAGE_PROCESS_START")
PICK = "SELECT account_id FROM ledger.account LIMIT 1"
CHANGE = "UPDATE ledger.account SET balance = balance + $2::bigint WHERE account_id = $1"


def bpctl(home: Path, *arguments: str, within_s: float = 120.0) -> subprocess.CompletedProcess[str]:
    """Run bpctl on the stack of a home, as an operator does; return its exit code and output."""
    environment = {"BP_HOME": str(home), "PATH": "/usr/bin:/bin"}
    environment |= {name: os.environ[name] for name in INHERITED if name in os.environ}
    return subprocess.run(
        [str(REPO / "bpctl"), *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=scaled_s(within_s),
    )


@asynccontextmanager
async def corrupted_balance(stack: RunningStack) -> AsyncGenerator[str]:
    """Add a cent to a balance without an entry; yield the account's id. Undo it at the end."""
    connection = await asyncpg.connect(stack.dsn("bp_write"))
    account = await connection.fetchval(PICK)
    await connection.execute(CHANGE, account, 1)
    await connection.close()
    try:
        yield str(account)
    finally:
        # A second connection, because the test may have killed PostgreSQL, and the first with it.
        connection = await asyncpg.connect(stack.dsn("bp_write"))
        await connection.execute(CHANGE, account, -1)
        await connection.close()
