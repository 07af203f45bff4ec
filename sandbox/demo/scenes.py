"""The scenes: each plays a customer's action or a failure, and checks the outcome."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping

from ops.display import shown
from sandbox.client import Answer, BankClient, Customer
from sandbox.demo.login_scenes import locked_out, logged_in
from sandbox.demo.mesh_scene import operated
from sandbox.demo.stage import Scene, Stage

OPENING = 5_000_00
AMOUNT = 1_000_00
SUBMIT = "POST /ach/transfer"
PROCESS = "payments"


async def happy(stage: Stage, bank: BankClient) -> None:
    """A transfer from the mobile app to another bank, up to settlement two banking days later."""
    scene = stage.begin(
        "A transfer settles",
        "Ana sends 1,000.00 USD to Bo at another bank. The request passes the Envoy gateway (REST) "
        "and mTLS sidecars (gRPC), debits the double-entry ledger and reaches the ACH clearing "
        "house.",
    )
    ana = await bank.customer(OPENING)
    stage.balance("Ana before", await bank.posted(ana), OPENING)
    key = str(uuid.uuid4())
    stage.arrow(scene, "app", "gateway", "POST /v1/transfers/interbank")
    paid = await _timed(scene, bank, ana, key)
    stage.arrow(scene, "app", "gateway", f"{paid.status} {paid.body.get('state')}", back=True)
    stage.holds(scene, "SUBMITTED with a trace number", paid.body.get("state") == "SUBMITTED")
    again = await bank.pay(ana, AMOUNT, key=key)
    stage.holds(scene, "a retry with the same key gets the same bytes", again.text == paid.text)
    stage.balance("Ana after", await bank.posted(ana), OPENING)
    stage.arrow(scene, "clock", "ACH", "two banking days pass")
    await bank.two_banking_days()
    done = await bank.in_state(ana, paid.body["transferId"], "COMPLETED")
    stage.arrow(scene, "payments", "ACH", "signed notice transfer.completed", back=True)
    stage.holds(scene, "COMPLETED", done["state"] == "COMPLETED")
    stage.phone((await bank.pushed(ana, 2))[-1])
    scene.facts |= {"state": done["state"], "trace": done["traceNumber"]}


async def _timed(scene: Scene, bank: BankClient, ana: Customer, key: str) -> Answer:
    began = time.monotonic()
    answer = await bank.pay(ana, AMOUNT, key=key)
    scene.facts["answer_ms"] = round((time.monotonic() - began) * 1000)
    return answer


async def compensated(stage: Stage, bank: BankClient) -> None:
    """The clearing house is down: the debit is reversed and the customer is notified."""
    scene = stage.begin(
        "A transfer fails and is compensated",
        "The clearing house answers 503 to every submission. The bank recalls the transfer, "
        "which leaves a tombstone for its key, and refunds the money only after that.",
    )
    ana = await bank.customer(OPENING)
    await bank.fault("ach", kind="http_5xx", endpoint=SUBMIT, params={"status": 503})
    stage.arrow(scene, "payments", "ACH", "POST /ach/transfer, three retries")
    failed = await bank.pay(ana, AMOUNT)
    stage.arrow(scene, "payments", "ACH", "503 every time", back=True)
    retry = failed.headers.get("Retry-After", "")
    stage.arrow(scene, "app", "gateway", f"{failed.status}, Retry-After {retry} s", back=True)
    stage.holds(scene, "503 with RetryInfo and a reason", failed.reason == "ACH_UNAVAILABLE")
    stage.balance("Ana after the refund", await bank.posted(ana), OPENING)
    stage.holds(scene, "the money is refunded once", await bank.posted(ana) == OPENING)
    pushes = await bank.pushed(ana)
    stage.phone(pushes[0])
    title = pushes[0]["notification"]["title"]
    stage.holds(scene, "one push: Transferencia fallida", title == "Transferencia fallida")
    await bank.clear_faults("ach")
    scene.facts |= {"status": failed.status, "reason": failed.reason, "push": title}


async def timed_out(stage: Stage, bank: BankClient) -> None:
    """The clearing house accepts the transfer and never answers: a timeout is not a failure."""
    scene = stage.begin(
        "A timeout is resolved by a query",
        "The clearing house accepts the transfer and never answers. After the sidecar's four "
        "attempts (30 s at most) the outcome is unknown, so the bank queries by the transfer's key "
        "and finds it.",
    )
    ana = await bank.customer(OPENING)
    await bank.fault("ach", kind="accept_then_hang", endpoint=SUBMIT)
    stage.arrow(scene, "payments", "ACH", "POST /ach/transfer … no answer")
    answered = await bank.pay(ana, AMOUNT)
    state = answered.body.get("state")
    stage.arrow(scene, "app", "gateway", f"{answered.status} {state} after 5 s", back=True)
    stage.holds(scene, "answered in time with the current state", state == "DEBITED")
    stage.balance("Ana, money in clearing", await bank.posted(ana), OPENING)
    with stage.console.status("waiting for the sidecar's last attempt"):
        done = await bank.in_state(ana, answered.body["transferId"], "SUBMITTED")
    stage.arrow(scene, "payments", "ACH", "GET /ach/transfer?idempotencyKey=…")
    stage.arrow(scene, "payments", "ACH", f"found: trace {done['traceNumber']}", back=True)
    stage.holds(scene, "not refunded", await bank.posted(ana) == OPENING - AMOUNT)
    await bank.clear_faults("ach")
    scene.facts |= {"state": done["state"], "found_by": "query"}


async def killed(stage: Stage, bank: BankClient) -> None:
    """kill -9 of payments between the debit and the clearing house."""
    scene = stage.begin(
        "kill -9 in the middle of the saga",
        "payments is killed after the debit and before the clearing house has answered. The saga "
        "is a row in PostgreSQL, so the next process claims and continues it.",
    )
    ana = await bank.customer(OPENING)
    fault = await bank.fault("ach", kind="hang", endpoint=SUBMIT)
    asked = asyncio.create_task(bank.pay(ana, AMOUNT))
    transfer = await bank.only_transfer(ana)
    stage.arrow(scene, "payments", "ledger", "debit committed, state DEBITED")
    pid = await asyncio.to_thread(bank.stack.kill, PROCESS)
    stage.arrow(scene, "operator", "payments", f"kill -9 {pid}")
    await bank.control("ach", "DELETE", f"/control/faults/{fault}")
    await asyncio.gather(asked, return_exceptions=True)
    reborn = await asyncio.to_thread(bank.stack.wait_ready, PROCESS, not_pid=pid)
    stage.arrow(scene, "supervisor", "payments", f"restarted with pid {reborn}")
    done = await bank.in_state(ana, transfer["transferId"], "SUBMITTED")
    stage.arrow(scene, "payments", "ACH", f"resumed: {done['state']} {done['traceNumber']}")
    stage.holds(scene, "submitted with its original key", done["state"] == "SUBMITTED")
    stage.holds(scene, "debited once", await bank.posted(ana) == OPENING - AMOUNT)
    scene.facts |= {"killed": pid, "state": done["state"]}


async def raced(stage: Stage, bank: BankClient) -> None:
    """Fifty concurrent debits of the whole balance."""
    scene = stage.begin(
        "Fifty concurrent debits of the whole balance",
        "Each of fifty connections requests Ana's whole balance. The balance check and the debit "
        "are one statement in one transaction, so exactly one succeeds.",
    )
    ana = await bank.customer(AMOUNT)
    answers = await asyncio.gather(*(bank.pay(ana, AMOUNT) for _ in range(50)))
    through = sum(answer.status == 200 for answer in answers)
    refused = sum(answer.reason == "INSUFFICIENT_FUNDS" for answer in answers)
    stage.arrow(scene, "app × 50", "gateway", f"{through} accepted, {refused} refused", back=True)
    stage.holds(scene, "exactly one debit", (through, refused) == (1, 49))
    stage.balance("Ana", await bank.posted(ana), AMOUNT)
    scene.facts |= {"accepted": through, "refused": refused}


async def balanced(stage: Stage, bank: BankClient) -> None:
    """The judge compares all stores with each other."""
    scene = stage.begin(
        "The books balance",
        "Ledger, transfers, outbox, Kafka, audit, notifications, projected balances and the "
        "clearing house are read and compared, transfer by transfer.",
    )
    with stage.console.status("waiting for events in flight"):
        verdict = await bank.judged()
    for name in ("interbank_transfers", "events", "audit_records", "pushes", "ach_transfers"):
        label, count = name.replace("_", " "), verdict["checked"].get(name, 0)
        stage.console.print(f"            {label:<24} {count:>8}")
    for difference in verdict["differences"]:
        stage.console.print(shown(f"            {difference}", "red"))
    stage.holds(scene, "sum is zero, no negative balance, all stores agree", verdict["ok"])
    scene.facts |= {"items compared": sum(verdict["checked"].values()), "ok": verdict["ok"]}


SCENES: Mapping[str, Callable[[Stage, BankClient], Awaitable[None]]] = {
    "login": logged_in,
    "settle": happy,
    "compensate": compensated,
    "timeout": timed_out,
    "kill": killed,
    "race": raced,
    "mesh": operated,
    "books": balanced,
    "lock-out": locked_out,
}
"""The scenes by the names of `--scene`, in the order of the story."""
