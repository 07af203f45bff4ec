"""Operators unlock customers and end their sessions with `bpctl auth`."""

import asyncio
import json
import uuid

from ops.waiting import until
from sandbox.app import App
from tests.rigs.bpctl import bpctl
from tests.rigs.running_bank import Bank, Customer

NOTE = ("--note", "the customer called from the stored number")
TRIES_MAX = 20
"""More wrong passwords than an unknown device has."""


async def test_a_customer_whom_wrong_passwords_locked_logs_in_after_an_unlock(
    bank: Bank, ana: Customer, app: App
) -> None:
    answers = [(await app.login("wrong-" * 4)).status for _ in range(TRIES_MAX)]
    assert answers[-1] == 429
    assert (await app.login()).status == 429
    done = await asyncio.to_thread(
        bpctl, bank.stack.home.root, "auth", "unlock", "--customer", ana.user_name, *NOTE
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"Unlocked {ana.user_name}, as ")
    assert (await app.log_in()).status == 200


async def test_ended_sessions_leave_the_list_and_their_tokens_are_refused(
    bank: Bank, ana: Customer, logged_in: App
) -> None:
    of_ana = ("--customer", ana.user_name)
    listed = await asyncio.to_thread(
        bpctl, bank.stack.home.root, "auth", "sessions", *of_ana, "--json"
    )
    (session,) = json.loads(listed.stdout)["sessions"]
    assert session["device_name"] == "Ana's phone"
    done = await asyncio.to_thread(
        bpctl, bank.stack.home.root, "auth", "end-sessions", *of_ana, *NOTE
    )
    assert done.stdout.endswith("Sessions that ended: 1.\n"), done.stderr
    after = await asyncio.to_thread(
        bpctl, bank.stack.home.root, "auth", "sessions", *of_ana, "--json"
    )
    assert json.loads(after.stdout)["sessions"] == []

    async def refused() -> bool:
        return (await logged_in.get("/v1/auth/sessions")).status == 401

    await until(refused, 30, "the token of an ended session is refused")


async def test_a_customer_without_a_login_is_refused_in_one_sentence(bank: Bank) -> None:
    customer = str(uuid.uuid4())
    done = await asyncio.to_thread(
        bpctl, bank.stack.home.root, "auth", "unlock", "--customer", customer, *NOTE
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"The customer {customer} has no login.\n"
