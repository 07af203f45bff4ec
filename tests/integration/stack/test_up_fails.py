"""An `up` that cannot succeed soon reports which part fails and why, and gives up.

The tests share one home that no other test uses. Each breaks it in a different way and repairs it.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from ops.provision.migrations import foreign
from sandbox.stack.home import REPO
from sandbox.stack.supervisor.nodes import RestartPolicy
from sandbox.stack.testing import RunningStack

STARTS_MAX = RestartPolicy().first_starts_max
STACK = (sys.executable, "-m", "sandbox.stack")


@pytest.fixture(scope="module")
def own_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home for this module; its stack is stopped afterwards."""
    root = tmp_path_factory.mktemp("fails") / "home"
    yield root
    RunningStack.open(root).down()


def stack_command(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*STACK, *arguments],
        cwd=REPO,
        env={**os.environ, "BP_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )


def begun_up(home: Path, name: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*STACK, "up", name],
        cwd=REPO,
        env={**os.environ, "BP_HOME": str(home)},
        stderr=subprocess.PIPE,
        text=True,
    )


NOT_PERMITTED = r"role \"bp_customers\" is not permitted to log in"
"""The reason in the service's log, which is JSON."""


async def as_superuser(stack: RunningStack, database: str, sql: str) -> None:
    connection = await asyncpg.connect(stack.dsn(database))
    await connection.execute(sql)
    await connection.close()


async def test_a_service_that_fails_at_its_start_is_soon_reported_and_given_up(
    own_home: Path,
) -> None:
    own = RunningStack.open(own_home)
    own.ensure("migrations", "vault", "topics", "certificates")
    await as_superuser(own, "postgres", "ALTER ROLE bp_customers NOLOGIN")
    up = begun_up(own_home, "customers")
    assert up.stderr is not None
    first = up.stderr.readline()
    told = re.match(r"customers: exited with 1 before it was ready, failed starts: (\d)", first)
    assert told, first
    assert int(told[1]) < STARTS_MAX, "it is reported while it is still retried"
    assert "given up" not in first
    said = up.stderr.read()
    assert up.wait() == 1
    assert NOT_PERMITTED in said
    assert f"failed starts: {STARTS_MAX}, given up" in said
    assert "make status" in said

    status = stack_command(own_home, "status")
    assert status.returncode == 1
    given_up = f"customers: exited with 1 before it was ready, failed starts: {STARTS_MAX}"
    assert given_up in status.stdout
    assert NOT_PERMITTED in status.stdout
    rows = own.nodes()
    assert (rows["customers"]["state"], rows["customers"]["exit_code"]) == ("failed", 1)
    assert rows["postgres"]["state"] == rows["certificates"]["state"] == "ready"

    with pytest.raises(RuntimeError, match=r"customers: exited with 1 .*given up"):
        own.ensure("customers")
    await as_superuser(own, "postgres", "ALTER ROLE bp_customers LOGIN")
    own.ensure("customers")
    assert stack_command(own_home, "status").returncode == 0


@pytest.mark.parametrize(
    ("breaks", "repairs", "finding"),
    [
        (
            "INSERT INTO schema_migrations_payments (version) VALUES ('0999')",
            "DELETE FROM schema_migrations_payments WHERE version = '0999'",
            "ran migration 0999, which this version of the bank does not have",
        ),
        (
            "UPDATE schema_migrations_payments SET digest = 'x' || digest WHERE version = '0001'",
            "UPDATE schema_migrations_payments SET digest = substr(digest, 2) "
            "WHERE version = '0001'",
            "ran a different migration 0001 than this version's",
        ),
    ],
    ids=["unknown", "changed"],
)
async def test_a_database_of_another_version_of_the_bank_is_reported_with_the_remedy(
    own_home: Path, breaks: str, repairs: str, finding: str
) -> None:
    own = RunningStack.open(own_home)
    own.ensure("migrations")
    await as_superuser(own, "bp_write", breaks)
    own.down()
    up = stack_command(own_home, "up", "migrations")
    assert up.returncode == 1
    assert f"the database bp_write of payments {finding}" in up.stderr
    assert f"`make down`, remove {own_home}, run `make up`" in up.stderr
    assert stack_command(own_home, "status").returncode == 1
    await as_superuser(own, "bp_write", repairs)
    assert stack_command(own_home, "up", "migrations").returncode == 0
    assert stack_command(own_home, "down").returncode == 0


def test_a_database_that_is_older_or_of_the_same_version_is_not_foreign() -> None:
    held = {"0001": "a", "0002": "b"}
    assert foreign({}, held) == ""
    assert foreign({"0001": "a"}, held) == ""
    assert foreign({"0001": None, "0002": "b"}, held) == ""
    assert foreign({"0001": "b"}, held) != ""
    assert foreign({"0003": None}, held) != ""
    assert foreign({"0001": "before"}, held, frozenset({"before"})) == ""
    assert foreign({"0003": "before"}, held, frozenset({"before"})) != ""
