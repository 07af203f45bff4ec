"""`bpctl` on the running bank: its JSON output and exit codes, which scripts use."""

from __future__ import annotations

import base64
import json
import uuid
from pathlib import Path
from typing import Any

import pytest

from ops.bpctl import connections
from sandbox.partners.fault_kinds import Kind
from sandbox.stack.testing import RunningStack
from tests.rigs.bpctl import bpctl, corrupted_balance


def answer_of(stack: RunningStack, *arguments: str) -> str:
    done = bpctl(stack.home.root, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_status_lists_every_part_as_json(stack: RunningStack) -> None:
    answer = json.loads(answer_of(stack, "status", "--json"))
    states = {node["name"]: node["state"] for node in answer["nodes"]}
    assert states["postgres"] == states["kafka"] == states["gateway"] == "ready"
    assert set(states.values()) == {"ready"}


def test_a_token_is_printed_alone_on_stdout_and_the_gateway_accepts_it(stack: RunningStack) -> None:
    customer = str(uuid.uuid4())
    token = answer_of(stack, "token", "--customer", customer).strip()
    claims = token.split(".")[1]
    assert json.loads(base64.urlsafe_b64decode(claims + "=="))["sub"] == customer
    where = stack.addresses
    answer = connections.call(
        "GET",
        f"{where['BP_GATEWAY_URL']}/v1/accounts",
        headers={"Authorization": f"Bearer {token}"},
        ca_file=where["BP_CA_FILE"],
    )
    assert answer["accounts"] == []


def test_an_unknown_customer_is_reported_on_stderr_with_an_exit_code(stack: RunningStack) -> None:
    done = bpctl(stack.home.root, "token", "--customer", "nobody-of-that-name")
    assert done.returncode == 1
    assert done.stdout == ""
    assert "No customer is called nobody-of-that-name" in done.stderr


@pytest.mark.parametrize(
    "command",
    [
        ("token", "--customer", "ana"),
        ("token", "--customer", str(uuid.UUID(int=1))),
        ("transfers", "show", "rent-march"),
        ("transfers", "list", "--customer", "ana"),
        ("ledger", "check"),
        ("audit", "verify"),
        ("load", "--customers", "1"),
        ("sandbox", "partner", "ach", "state"),
        ("sandbox", "clock", "show"),
        ("sandbox", "outbox", "sms", "--to", "+15550100001"),
    ],
    ids=" ".join,
)
def test_every_command_on_a_stopped_bank_exits_with_3_and_the_remedy(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    where = {
        "BP_RUN": str(tmp_path / "run"),
        "BP_PARTNER_ACH_CONTROL_SOCKET": str(tmp_path / "ach.sock"),
        "BP_PARTNER_SMS_CONTROL_SOCKET": str(tmp_path / "sms.sock"),
    }
    (tmp_path / connections.ENDPOINTS).write_text(json.dumps(where))
    done = bpctl(tmp_path, *command)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == "The bank is not running. Start it with `make up`.\n"


def test_an_unreachable_part_of_a_running_bank_is_named(
    stack: RunningStack, tmp_path: Path
) -> None:
    socket = str(tmp_path / "ach.sock")
    where = stack.addresses | {"BP_PARTNER_ACH_CONTROL_SOCKET": socket}
    (tmp_path / connections.ENDPOINTS).write_text(json.dumps(where))
    done = bpctl(tmp_path, "sandbox", "partner", "ach", "state")
    assert (done.returncode, done.stdout) == (3, "")
    assert socket in done.stderr
    assert "make status" in done.stderr


def test_the_help_lists_every_kind_of_fault(tmp_path: Path) -> None:
    text = bpctl(tmp_path, "sandbox", "partner", "--help").stdout
    assert [kind for kind in Kind if kind not in text] == []


def test_the_usage_names_the_program_that_an_operator_types(tmp_path: Path) -> None:
    assert "Usage: ./bpctl" in bpctl(tmp_path, "--help").stdout


def test_a_fault_is_set_listed_and_cleared(stack: RunningStack) -> None:
    fault = json.loads(
        answer_of(stack, "sandbox", "partner", "fraud", "fault", "latency", "--ms", "5", "--json")
    )
    listed = json.loads(answer_of(stack, "sandbox", "partner", "fraud", "faults", "--json"))
    assert fault["id"] in [entry["id"] for entry in listed["faults"]]
    answer_of(stack, "sandbox", "partner", "fraud", "clear", "--json")
    assert json.loads(answer_of(stack, "sandbox", "partner", "fraud", "faults", "--json")) == {
        "faults": []
    }


def test_the_business_clock_moves_only_forward_when_advanced(stack: RunningStack) -> None:
    before = json.loads(answer_of(stack, "sandbox", "clock", "show", "--json"))["now"]
    moved = json.loads(answer_of(stack, "sandbox", "clock", "advance", "--seconds", "60", "--json"))
    assert before <= moved["from"] < moved["to"]


def _judged(stack: RunningStack) -> tuple[int, dict[str, Any]]:
    done = bpctl(stack.home.root, "ledger", "check", "--json")
    return done.returncode, json.loads(done.stdout)


async def test_the_judges_exit_code_says_whether_all_stores_agree_and_it_reports_differences(
    stack: RunningStack,
) -> None:
    code, verdict = _judged(stack)
    assert (code, verdict["ok"], verdict["differences"]) == (0, True, [])
    async with corrupted_balance(stack) as account:
        code, verdict = _judged(stack)
    assert (code, verdict["ok"]) == (1, False)
    of_books = [one["ids"] for one in verdict["differences"] if one["kind"] == "BOOKS"]
    assert {"problem": "BALANCE_DIFFERS", "account_id": account, "currency": "USD"} in of_books
