"""Checks a transfer at its end, in the database and at the clearing house."""

from __future__ import annotations

import uuid
from collections import Counter
from typing import Any

from ops.judge.clearing_house import ACCEPTABLE, MUST_BE_KNOWN
from services.kernel.ids import shard_of
from tests.chaos.every_commit.transfer_run import AMOUNT, TransferRun

_DEBIT, _REFUND = "INTERBANK_DEBIT", "INTERBANK_REFUND"
_SETTLE, _RETURN = "INTERBANK_SETTLE", "INTERBANK_RETURN"

POSTED: dict[str, tuple[set[str], ...]] = {
    "SUBMITTED": ({_DEBIT},),
    "FAILED": ({_DEBIT, _REFUND},),
    "CANCELLED": ({_DEBIT, _REFUND},),
    "COMPLETED": ({_DEBIT, _SETTLE},),
    # Returned before the notice of its settlement, or after it.
    "RETURNED": ({_DEBIT, _REFUND}, {_DEBIT, _SETTLE, _RETURN}),
}
"""Final state -> the allowed sets of postings. Each posting must exist exactly once."""

_TRANSFERS = """
SELECT transfer_id, state, trace_number FROM payments.interbank_transfer
WHERE shard = $1 AND account_id = $2
"""
_POSTINGS = "SELECT kind FROM ledger.entry WHERE shard = $1 AND reference = $2 AND line = 1"
_BALANCE = "SELECT balance FROM ledger.account WHERE shard = $1 AND account_id = $2"


async def require_right(run: TransferRun) -> None:
    """Raise AssertionError unless the transfer is complete, exists once and ended correctly."""
    account = run.customer.account_id
    rows: list[Any] = await run.superuser.fetch(_TRANSFERS, shard_of(account), account)
    assert [str(row["transfer_id"]) for row in rows] == [run.transfer_id], run.memo
    state, trace = rows[0]["state"], rows[0]["trace_number"]
    assert state in run.scenario.ends_as, run.memo
    one = uuid.UUID(run.transfer_id)
    postings: list[Any] = await run.superuser.fetch(_POSTINGS, shard_of(one), one)
    kinds = Counter(row["kind"] for row in postings)
    assert kinds in [Counter(kinds) for kinds in POSTED[state]], (run.memo, kinds)
    balance = await run.superuser.fetchval(_BALANCE, shard_of(account), account)
    paid = 0 if kinds.keys() & {_REFUND, _RETURN} else AMOUNT
    assert balance == run.opening - paid, run.memo
    theirs = await run.bank.at_ach(run.transfer_id)
    assert theirs.get("state", "CANCELLED") in ACCEPTABLE[state], (run.memo, theirs)
    if state in MUST_BE_KNOWN:
        assert theirs["achTraceNumber"] == trace, run.memo
    assert len({answer.text for answer in run.answers}) <= 1, (run.memo, run.answers)
