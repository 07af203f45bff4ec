"""`bpctl` follows transfers through every layer of the running bank, and verifies the audit log."""

import asyncio
import json
import uuid
from typing import Any

from ops.waiting import until
from tests.rigs.bpctl import bpctl
from tests.rigs.running_bank import Bank

LAYERS = (
    *("Saga steps", "Ledger entries", "Outbox", "Audit records"),
    *("Clearing house", "Clearing house notices", "Messages"),
)
"""The tables below the transfer itself."""


async def printed(bank: Bank, *arguments: str) -> str:
    done = await asyncio.to_thread(bpctl, bank.stack.home.root, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


async def shown(bank: Bank, name: str, events: int) -> dict[str, Any]:
    """Return the only transfer that bpctl finds under a name, once its events are everywhere."""

    async def complete() -> dict[str, Any] | None:
        (found,) = json.loads(await printed(bank, "transfers", "show", name, "--json"))["transfers"]
        sent = [row["state"] for row in found["outbox"]] == ["published"] * events
        known = len(found["audit"]) == events == len(found["steps"])
        deliveries = [
            one["state"] for message in found["messages"] for one in message["deliveries"]
        ]
        arrived = bool(deliveries) and set(deliveries) == {"DELIVERED"}
        return found if sent and known and arrived else None

    return await until(complete, 30, f"the {events} events of {name} have arrived")


async def test_an_interbank_transfer_is_shown_in_every_layer_by_key_id_and_trace_number(
    bank: Bank,
) -> None:
    payer, key = await bank.customer(), f"rent-{uuid.uuid4()}"
    paid = (await bank.pay(payer, 100_00, key=key)).body
    await bank.two_banking_days()
    await bank.in_state(payer, paid["transferId"], "COMPLETED")
    await bank.pushed(payer, 2)
    trail = await shown(bank, key, events=3)
    assert trail["customer"] == payer.user_name
    wanted = {
        "transfer_id": paid["transferId"],
        "state": "COMPLETED",
        "amount": 100_00,
        "idempotency_key": key,
        "trace_number": paid["traceNumber"],
        "account_number_end": "3456",
    }
    assert wanted.items() <= trail["transfer"].items()
    assert uuid.UUID(trail["transfer"]["fraud_transaction_id"])
    steps = ["TransferDebited", "TransferSubmitted", "TransferCompleted"]
    assert [step["type"] for step in trail["steps"]] == steps
    kinds = [(entry["kind"], entry["amount"]) for entry in trail["entries"]]
    debit, settle = "INTERBANK_DEBIT", "INTERBANK_SETTLE"
    assert kinds == [(debit, -100_00), (debit, 100_00), (settle, -100_00), (settle, 100_00)]
    events = {row["event_id"] for row in trail["outbox"]}
    assert {row["event_id"] for row in trail["audit"]} == events
    assert trail["clearing_house"]["achTraceNumber"] == paid["traceNumber"]
    assert [notice["state"] for notice in trail["notices"]] == ["APPLIED"]
    deliveries = [one for message in trail["messages"] for one in message["deliveries"]]
    assert len(deliveries) >= 2
    assert all(one["taken"] for one in deliveries)
    for name in (paid["transferId"], paid["traceNumber"]):
        assert (await shown(bank, name, events=3))["outbox"] == trail["outbox"]
    tables = await printed(bank, "transfers", "show", key)
    assert f"Transfer {paid['transferId']}" in tables
    titles = [line.strip() for line in tables.splitlines()]
    assert [layer for layer in LAYERS if layer not in titles] == []
    assert "100.00 USD" in tables


async def test_a_book_transfer_is_shown_and_both_customers_list_it(bank: Bank) -> None:
    payer, payee = await bank.customer(), await bank.customer(0)
    made = (await bank.book(payer, payee, 25_00)).body
    await bank.pushed(payer)
    await bank.pushed(payee)
    trail = await shown(bank, made["transferId"], events=1)
    accounts = [(entry["account"], entry["amount"]) for entry in trail["entries"]]
    assert accounts == [(str(payer.account_id), -25_00), (str(payee.account_id), 25_00)]
    assert trail["clearing_house"] is None
    assert len(trail["messages"]) == 2
    for customer in (payer, payee):
        newest = await printed(bank, "transfers", "list", "--customer", customer.user_name)
        assert "25.00 USD" in newest
        told = json.loads(
            await printed(
                bank, "transfers", "list", "--customer", str(customer.customer_id), "--json"
            )
        )
        assert [one["transfer_id"] for one in told["transfers"]] == [made["transferId"]]


async def test_a_name_that_no_transfer_has_is_an_error_with_exit_code_1(bank: Bank) -> None:
    done = await asyncio.to_thread(bpctl, bank.stack.home.root, "transfers", "show", "no-such-key")
    assert (done.returncode, done.stdout) == (1, "")
    assert "No transfer has the name no-such-key" in done.stderr


async def test_the_audit_log_of_the_running_bank_verifies(bank: Bank) -> None:
    payer = await bank.customer()
    before = json.loads(await printed(bank, "audit", "verify", "--json"))
    paid = (await bank.pay(payer)).body
    await shown(bank, paid["transferId"], events=2)
    after = json.loads(await printed(bank, "audit", "verify", "--json"))
    assert (after["ok"], after["findings"]) == (True, [])
    assert after["records"] >= before["records"] + 2
    # Each verification has the heads signed first.
    assert after["signed_heads"] > before["signed_heads"] > 0
    assert "no record was changed" in await printed(bank, "audit", "verify")
