"""bpctl against the running bank: what it prints is what a script can use."""

from __future__ import annotations

import base64
import json
import subprocess
import uuid
from typing import Any

import asyncpg

from sandbox.bpctl import reach
from sandbox.stack.home import REPO
from sandbox.stack.testing import RunningStack


def bpctl(stack: RunningStack, *arguments: str) -> str:
    done = subprocess.run(
        [str(REPO / "bpctl"), *arguments],
        env={"BP_HOME": str(stack.home.root), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_status_tells_every_part_as_json(stack: RunningStack) -> None:
    answer = json.loads(bpctl(stack, "status", "--json"))
    states = {node["name"]: node["state"] for node in answer["nodes"]}
    assert states["postgres"] == states["kafka"] == states["gateway"] == "ready"
    assert set(states.values()) == {"ready"}


def test_a_token_stands_alone_on_stdout_and_opens_the_gateway(stack: RunningStack) -> None:
    customer = str(uuid.uuid4())
    token = bpctl(stack, "token", "--customer", customer).strip()
    claims = token.split(".")[1]
    assert json.loads(base64.urlsafe_b64decode(claims + "=="))["sub"] == customer
    where = stack.addresses
    answer = reach.call(
        "GET",
        f"{where['BP_GATEWAY_URL']}/v1/accounts",
        headers={"Authorization": f"Bearer {token}"},
        ca_file=where["BP_CA_FILE"],
    )
    assert answer["accounts"] == []


def test_an_unknown_customer_is_said_on_stderr_with_an_exit_code(stack: RunningStack) -> None:
    done = subprocess.run(
        [str(REPO / "bpctl"), "token", "--customer", "nobody-of-that-name"],
        env={"BP_HOME": str(stack.home.root), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert "No customer is called nobody-of-that-name" in done.stderr


def test_a_fault_is_set_listed_and_cleared(stack: RunningStack) -> None:
    fault = json.loads(
        bpctl(stack, "sandbox", "partner", "fraud", "fault", "latency", "--ms", "5", "--json")
    )
    listed = json.loads(bpctl(stack, "sandbox", "partner", "fraud", "faults", "--json"))
    assert fault["id"] in [entry["id"] for entry in listed["faults"]]
    bpctl(stack, "sandbox", "partner", "fraud", "clear", "--json")
    assert json.loads(bpctl(stack, "sandbox", "partner", "fraud", "faults", "--json")) == {
        "faults": []
    }


def test_the_business_clock_moves_only_forward_when_advanced(stack: RunningStack) -> None:
    before = json.loads(bpctl(stack, "sandbox", "clock", "show", "--json"))["now"]
    moved = json.loads(bpctl(stack, "sandbox", "clock", "advance", "--seconds", "60", "--json"))
    assert before <= moved["from"] < moved["to"]


def _judged(stack: RunningStack) -> tuple[int, dict[str, Any]]:
    done = subprocess.run(
        [str(REPO / "bpctl"), "ledger", "check", "--json"],
        env={"BP_HOME": str(stack.home.root), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, json.loads(done.stdout)


async def test_the_judges_exit_code_says_whether_all_agree_and_it_names_what_does_not(
    stack: RunningStack,
) -> None:
    code, verdict = _judged(stack)
    assert (code, verdict["ok"], verdict["differences"]) == (0, True, [])
    connection = await asyncpg.connect(stack.dsn("bp_write"))
    pick = "SELECT account_id FROM ledger.account LIMIT 1"
    change = "UPDATE ledger.account SET balance = balance + $2::bigint WHERE account_id = $1"
    account = await connection.fetchval(pick)
    await connection.execute(change, account, 1)
    try:
        code, verdict = _judged(stack)
    finally:
        await connection.execute(change, account, -1)
        await connection.close()
    assert (code, verdict["ok"]) == (1, False)
    of_books = [one["ids"] for one in verdict["differences"] if one["kind"] == "BOOKS"]
    assert {"problem": "BALANCE_DIFFERS", "account_id": str(account), "currency": "USD"} in of_books
