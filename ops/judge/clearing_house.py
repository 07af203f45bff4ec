"""Compares the clearing house's transfers with the bank's, each by its idempotency key."""

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from ops.judge.books import Bank, Interbank
from ops.judge.findings import Findings, Kind
from ops.judge.stores import Stores, partner_api

PAGE = 1000

GONE = frozenset({"CANCELLED", "REJECTED"})
"""States of a transfer that the clearing house will never send."""
UNDER_WAY = frozenset({"ACCEPTED", "BATCHED", "SETTLING"})
ENDED = frozenset({"SETTLED", "RETURNED"})

ACCEPTABLE: Mapping[str, frozenset[str]] = {
    "DEBITED": GONE | UNDER_WAY | ENDED,
    "OUTCOME_UNKNOWN": GONE | UNDER_WAY | ENDED,
    "CANCELLING": GONE | UNDER_WAY | ENDED,
    "SUBMITTED": UNDER_WAY,
    "COMPLETED": frozenset({"SETTLED"}),
    "RETURNED": frozenset({"RETURNED"}),
    "FAILED": GONE,
    "CANCELLED": GONE,
}
"""Our state -> the clearing house's states that agree with it."""

MUST_BE_KNOWN = frozenset({"SUBMITTED", "COMPLETED", "RETURNED"})


async def compare_clearing_house(stores: Stores, bank: Bank, findings: Findings) -> None:
    """Compare both ways. The bank's state may be older while a notice is being delivered."""
    seen: set[str] = set()
    async for theirs in _transfers(stores.ach_control):
        transfer_id = theirs["idempotencyKey"]
        seen.add(transfer_id)
        ours = bank.interbank.get(transfer_id)
        if ours is not None:
            _compare(transfer_id, ours, theirs, findings)
        elif theirs["state"] not in GONE:
            findings.add(Kind.ACH_UNKNOWN, None, theirs["state"], transfer_id=transfer_id)
    findings.checked["ach_transfers"] += len(seen)
    for transfer_id, ours in bank.interbank.items():
        if ours.state in MUST_BE_KNOWN and transfer_id not in seen:
            findings.add(Kind.ACH_LOST, ours.state, None, transfer_id=transfer_id)


async def _transfers(control: Path) -> AsyncIterator[dict[str, Any]]:
    cursor: str | None = "0"
    async with partner_api(control) as get:
        while cursor is not None:
            page = await get(f"/control/transfers?cursor={cursor}&limit={PAGE}")
            for transfer in page["transfers"]:
                yield transfer
            cursor = page["nextCursor"]


def _compare(
    transfer_id: str, ours: Interbank, theirs: Mapping[str, Any], findings: Findings
) -> None:
    amount = theirs.get("amount")
    if amount is not None and (amount["minorUnits"], amount["currency"]) != (
        ours.amount,
        ours.currency,
    ):
        expected = {"minorUnits": ours.amount, "currency": ours.currency}
        findings.add(Kind.ACH_AMOUNT, expected, amount, transfer_id=transfer_id)
    trace = theirs["achTraceNumber"]
    if ours.state in MUST_BE_KNOWN and ours.trace_number != trace:
        findings.add(Kind.ACH_TRACE, ours.trace_number, trace, transfer_id=transfer_id)
    state = theirs["state"]
    if state in ACCEPTABLE[ours.state] or _told_later(ours, theirs):
        return
    kind = Kind.ACH_LIVE if ours.state in {"FAILED", "CANCELLED"} else Kind.ACH_STATE
    findings.add(kind, ours.state, state, transfer_id=transfer_id, trace_number=trace)


def _told_later(ours: Interbank, theirs: Mapping[str, Any]) -> bool:
    """Return whether a notice that explains the difference is still being delivered to us."""
    behind = ours.state in {"SUBMITTED", "COMPLETED"} and theirs["state"] in ENDED
    return behind and any(one["delivery"] == "pending" for one in theirs["webhooks"])
