"""`bpctl` on the running bank: its JSON output and exit codes, which scripts use."""

from __future__ import annotations

import base64
import json
import uuid
from typing import Any

from ops.bpctl import connections
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
