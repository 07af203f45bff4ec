"""The search finds a word in any log of the bank, and reports a missing log."""

import uuid
from pathlib import Path

import pytest

from lab.fuzz.log_leaks import MUST_LOG, PAYEE_NAME, SECRET_IDS, find_leaks, secrets_of
from sandbox.client import Customer
from sandbox.seed.people import password
from sandbox.stack.home import Home
from sandbox.stack.supervisor.logfiles import LOG_BYTES_MAX, bound_all
from sandbox.stack.testing import RunningStack

LINE = f"refused: {PAYEE_NAME}\n"


@pytest.fixture
def stack(tmp_path: Path) -> RunningStack:
    home = Home(tmp_path)
    home.logs.mkdir(parents=True)
    for name in MUST_LOG:
        (home.logs / f"{name}.log").write_text("serving\n")
    return RunningStack(home)


@pytest.mark.parametrize("name", ["payments", "audit-sidecar", "kafka", "supervisor", "gateway"])
def test_a_word_is_found_in_every_log_of_the_bank(stack: RunningStack, name: str) -> None:
    assert find_leaks(stack, [PAYEE_NAME]) == []
    with (stack.home.logs / f"{name}.log").open("a") as log:
        log.write(LINE)
    assert find_leaks(stack, [PAYEE_NAME]) == [f"{name}.log has {PAYEE_NAME}…"]


def test_a_word_is_found_in_the_older_part_of_a_long_log(stack: RunningStack) -> None:
    log = stack.home.logs / "postgres.log"
    log.write_text(LINE * (LOG_BYTES_MAX // len(LINE) + 1))
    bound_all(stack.home.logs)
    log.write_text("serving\n")
    assert find_leaks(stack, [PAYEE_NAME]) == [f"postgres.log.1 has {PAYEE_NAME}…"]


def test_what_a_customer_types_and_gets_to_log_in_is_searched_for() -> None:
    """All fields with personal data or secrets of the requests, but no ids, which logs may have."""
    ana = Customer("ana", uuid.uuid4(), uuid.uuid4(), "an access token")
    ids = {name: [f"the {name}"] for name in (*SECRET_IDS, "session_id", "account_id")}
    words = secrets_of([ana], ids)
    assert words == {"an access token", "ana", password("ana"), *(f"the {n}" for n in SECRET_IDS)}


def test_logs_of_partners_are_not_searched(stack: RunningStack) -> None:
    (stack.home.logs / "partner-ach.log").write_text(LINE)
    assert find_leaks(stack, [PAYEE_NAME]) == []


def test_an_empty_log_is_reported(stack: RunningStack) -> None:
    (stack.home.logs / "payments.log").write_text("")
    assert find_leaks(stack, [PAYEE_NAME]) == ["the log of payments is missing or empty"]
