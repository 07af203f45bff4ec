"""Answers of partners with values of any type: each is read or treated as missing."""

from typing import Any

import orjson
import pytest

from services.payments.checks import Decision
from services.payments.partners import ach
from services.payments.partners.fraud import read_score
from services.payments.saga import Outcome
from services.payments.webhook import read_notice

DEEP = b"[" * 1010 + b"]" * 1010
"""orjson reads it, but str() of the value exceeds Python's recursion limit."""


def _answer(body: bytes) -> dict[str, Any]:
    return orjson.loads(body)


def test_a_nested_state_of_a_transfer_is_read_like_an_unknown_state() -> None:
    answer = _answer(b'{"achTraceNumber":"991000010000001","state":' + DEEP + b"}")
    assert ach.queried(200, answer).outcome is Outcome.ACCEPTED
    assert ach.recalled(200, answer).outcome is Outcome.NO_ANSWER


@pytest.mark.parametrize("decision", [b'["APPROVE"]', b"{}", b"7", b"null", DEEP])
def test_a_decision_that_is_no_text_counts_as_unavailable(decision: bytes) -> None:
    answer = _answer(b'{"score":1,"decision":' + decision + b"}")
    assert read_score(200, answer).decision is Decision.UNAVAILABLE


def test_a_nested_key_in_a_notice_of_an_unknown_type_names_no_transfer() -> None:
    body = b'{"id":"8f0f7d9e","type":"transfer.noc","data":{"idempotencyKey":' + DEEP + b"}}"
    notice = read_notice(body)
    assert (notice.transfer_id, notice.content) == (None, body)
