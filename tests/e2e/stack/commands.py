"""The real `bpctl` over a running stack, and a balance spoilt for what must not be sound."""

import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg

from sandbox.stack.home import REPO
from sandbox.stack.testing import RunningStack
from sandbox.waiting import FACTOR_VARIABLE, scaled_s

PICK = "SELECT account_id FROM ledger.account LIMIT 1"
CHANGE = "UPDATE ledger.account SET balance = balance + $2::bigint WHERE account_id = $1"


def bpctl(home: Path, *arguments: str, within_s: float = 120.0) -> subprocess.CompletedProcess[str]:
    """Run it on the stack of a home, as an operator does; whatever it answers."""
    return subprocess.run(
        [str(REPO / "bpctl"), *arguments],
        env={"BP_HOME": str(home), "PATH": "/usr/bin:/bin", FACTOR_VARIABLE: f"{scaled_s(1):g}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=scaled_s(within_s),
    )


@asynccontextmanager
async def spoilt_balance(stack: RunningStack) -> AsyncIterator[str]:
    """Let an account have a cent more than its entries say; its id. Taken back at the end."""
    connection = await asyncpg.connect(stack.dsn("bp_write"))
    account = await connection.fetchval(PICK)
    await connection.execute(CHANGE, account, 1)
    await connection.close()
    try:
        yield str(account)
    finally:
        # Another connection: whoever kills PostgreSQL meanwhile kills the first.
        connection = await asyncpg.connect(stack.dsn("bp_write"))
        await connection.execute(CHANGE, account, -1)
        await connection.close()
