"""The fraud service over HTTPS: a score before the debit, or UNAVAILABLE."""

from typing import Any

import aiohttp
import orjson

from services.chassis.http_client import (
    json_of,
    log_no_answer,
    log_unexpected_answer,
    read_answer,
)
from services.payments.checks import Decision, Score
from services.payments.transfer import InterbankTransferOrder, order_id

BASE = "http://fraud.example"
PARTNER, CALL = "fraud", "score"
"""Names of the partner and of the call in the log."""


def read_score(status: int, answer: Any) -> Score:
    """Read an answer; an unreadable one counts as UNAVAILABLE."""
    if status != 200 or not isinstance(answer, dict):
        return Score(Decision.UNAVAILABLE)
    decision, score = answer.get("decision"), answer.get("score")
    if not isinstance(decision, str) or not isinstance(score, int):
        return Score(Decision.UNAVAILABLE)
    if decision not in {"APPROVE", "REVIEW", "DECLINE"}:
        return Score(Decision.UNAVAILABLE)
    return Score(Decision(decision), score)


class FraudClient:
    """Asks for the score of a transfer."""

    def __init__(self, session: aiohttp.ClientSession, bearer_token: str) -> None:
        self._session = session
        self._headers = {
            "Authorization": f"Bearer {bearer_token}",
            "Content-Type": "application/json",
        }

    async def score(self, order: InterbankTransferOrder) -> Score:
        """Return the score; UNAVAILABLE when there is no answer, never an exception.

        The fraud service sees one transaction, however often the customer repeats the order.
        """
        body = {
            "transactionId": str(order_id(order)),
            "customerId": str(order.customer_id),
            "accountId": str(order.account_id),
            "amount": {
                "currency": order.amount.currency,
                "minorUnits": order.amount.minor_units,
            },
            "beneficiary": {
                "name": order.beneficiary.name,
                "routing": order.beneficiary.routing_number,
                "account": order.beneficiary.account_number,
            },
            "channel": "MOBILE",
        }
        try:
            async with self._session.post(
                f"{BASE}/v1/score", data=orjson.dumps(body), headers=self._headers
            ) as response:
                status, answer = response.status, await read_answer(response)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            log_no_answer(PARTNER, CALL, error)
            return Score(Decision.UNAVAILABLE)
        score = read_score(status, json_of(answer))
        if score.decision is Decision.UNAVAILABLE:
            log_unexpected_answer(PARTNER, CALL, status)
        return score
