"""What `bpctl` says when the real PostgreSQL refuses its login or has stopped."""

from __future__ import annotations

import asyncio

import pytest
from typer.testing import CliRunner

from ops.bpctl import app, connections, failures
from tests.rigs.stores import PASSWORD, PostgresStore

LIST = ("reviews", "list")
CASES = {
    "wrong password": ({"password": "wrong"}, "refused the login", failures.NEW_LOGINS),
    "no such login": ({"username": "bp_nobody"}, "refused the login", failures.NEW_LOGINS),
    "no such server": ({"port": "1"}, "PostgreSQL at ", failures.CHECK),
}
"""Case -> what differs from the right login, what is said, and the remedy."""


@pytest.mark.parametrize(("differs", "told", "remedy"), CASES.values(), ids=CASES)
async def test_a_login_that_fails_is_one_sentence_with_its_remedy(
    postgres: PostgresStore,
    monkeypatch: pytest.MonkeyPatch,
    differs: dict[str, str],
    told: str,
    remedy: str,
) -> None:
    host, port = postgres.part.host, str(postgres.part.port)
    login = {"host": host, "port": port, "username": "bp_judge", "password": PASSWORD}
    monkeypatch.setattr(connections, "secret", lambda _path: login | differs)
    done = await asyncio.to_thread(CliRunner().invoke, app.build(), LIST)
    assert (done.exit_code, done.stdout) == (3, "")
    (said,) = done.stderr.splitlines()
    assert told in said
    assert said.endswith(f". {remedy}")
    assert PASSWORD not in said
