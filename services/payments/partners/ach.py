"""The clearing house over HTTPS: its JSON in, the saga's answers out.

Timeouts, retries and the circuit breaker belong to the sidecar. A call that ends without an
answer of the clearing house itself is NO_ANSWER, never a failure.
"""

import asyncio
import time
from typing import Any

import aiohttp
import orjson
import structlog

from services.chassis.http_client import (
    json_of,
    log_no_answer,
    log_unexpected_answer,
    plain,
    read_answer,
)
from services.nacha import return_code
from services.payments.saga import Answer, Outcome
from services.payments.transfer import Transfer

BASE = "http://ach-network.example"
DIRECTORY = "http://directory.ach-network.example"
"""The same host under the name for which the mesh has a separate circuit breaker, so that a
directory that fails does not stop submissions."""
PARTNER = "ach"
"""The partner's name in the log."""
DIRECTORY_TTL_S = 3600
DIRECTORY_WITHIN_S = 2.0
"""The longest wait for the directory. Its answer is optional, so customers wait no longer."""

_REFUSALS = frozenset({400, 422})
"""Statuses with which the clearing house refuses a request for its form or its content. Not 408,
409, 425, 429 (they depend on the moment) and 401, 403, 404 (they concern the caller or the
path)."""

_NO_ANSWER = Answer(Outcome.NO_ANSWER)
REASONS = {
    "INVALID_ROUTING_NUMBER": "INVALID_ROUTING_NUMBER",
    "UNKNOWN_ROUTING_NUMBER": "UNKNOWN_ROUTING_NUMBER",
    "INVALID_ACCOUNT": "INVALID_BENEFICIARY_ACCOUNT",
}
"""Codes of the clearing house that tell the customer what to correct -> the bank's reason."""

_ENDED = {"SETTLED": Outcome.SETTLED, "RETURNED": Outcome.RETURNED}

log = structlog.get_logger()


def key_of(transfer: Transfer) -> str:
    """Return the idempotency key by which the clearing house knows a transfer."""
    return str(transfer.transfer_id)


class AchClient:
    """Submits, queries and recalls transfers; looks up banks in the network's directory.

    The directory has its own connections: look-ups that hang delay no submission.
    """

    def __init__(
        self, session: aiohttp.ClientSession, directory: aiohttp.ClientSession, api_key: str
    ) -> None:
        self._session = session
        self._directory = directory
        self._headers = {"X-Api-Key": api_key, "Content-Type": "application/json"}
        self._participants: dict[str, float] = {}

    async def submit(self, transfer: Transfer) -> Answer:
        """Hand over a transfer."""
        beneficiary = transfer.beneficiary
        body = {
            "amount": {
                "currency": transfer.amount.currency,
                "minorUnits": transfer.amount.minor_units,
            },
            "routing": beneficiary.routing_number,
            "account": beneficiary.account_number,
            "accountType": beneficiary.account_type,
            "name": beneficiary.name,
            "addenda": transfer.memo,
            "callbackReference": key_of(transfer),
        }
        key = {"Idempotency-Key": key_of(transfer)}
        status, answer = await self._call("submit", "POST", f"{BASE}/ach/transfer", body, key)
        return _logged("submit", status, submitted(status, answer))

    async def query(self, transfer: Transfer) -> Answer:
        """Ask for the state of a transfer."""
        url = f"{BASE}/ach/transfer?idempotencyKey={key_of(transfer)}"
        status, answer = await self._call("query", "GET", url)
        return _logged("query", status, queried(status, answer))

    async def recall(self, transfer: Transfer) -> Answer:
        """Cancel a transfer, or have its late arrival refused."""
        body = {"idempotencyKey": key_of(transfer)}
        status, answer = await self._call("recall", "POST", f"{BASE}/ach/transfer/cancel", body)
        return _logged("recall", status, recalled(status, answer))

    async def takes_part(self, routing_number: str) -> bool:
        """Return whether a bank is in the network's directory; True when there is no answer.

        The check saves a debit and its refund; the clearing house itself decides at submission.
        """
        now = time.monotonic()
        if self._participants.get(routing_number, 0) > now:
            return True
        try:
            async with asyncio.timeout(DIRECTORY_WITHIN_S):
                url = f"{DIRECTORY}/ach/participants/{routing_number}"
                status, _ = await self._call("directory", "GET", url, session=self._directory)
        except TimeoutError:
            log.warning("ach.directory_silent")
            return True
        if status == 200:
            self._participants[routing_number] = now + DIRECTORY_TTL_S
        elif status not in {0, 404}:
            log_unexpected_answer(PARTNER, "directory", status)
        return status != 404

    async def _call(
        self,
        call: str,
        method: str,
        url: str,
        body: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
        session: aiohttp.ClientSession | None = None,
    ) -> tuple[int, dict[str, Any]]:
        """Return status and JSON; status 0 without a complete and readable answer."""
        try:
            async with (session or self._session).request(
                method,
                url,
                data=orjson.dumps(body) if body is not None else None,
                headers=self._headers | (headers or {}),
            ) as response:
                status, text = response.status, await read_answer(response) or b"{}"
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            log_no_answer(PARTNER, call, error)
            return 0, {}
        content = json_of(text)
        if content is None:
            log_unexpected_answer(PARTNER, call, status)
            return 0, {}
        return status, content if isinstance(content, dict) else {}


def _logged(call: str, status: int, answer: Answer) -> Answer:
    """Return the answer; log one that the protocol does not define, such as a 401 when the bank's
    API key has expired. The saga treats it as a missing answer."""
    if status and answer.outcome is Outcome.NO_ANSWER:
        log_unexpected_answer(PARTNER, call, status)
    return answer


def _error(answer: dict[str, Any]) -> str:
    error = answer.get("error")
    return plain(error.get("code")) if isinstance(error, dict) else ""


def _trace(answer: dict[str, Any]) -> str:
    return plain(answer.get("achTraceNumber"))


def _return_code(answer: dict[str, Any]) -> str:
    """Return the return code; "" for a malformed one, since the transfer is returned anyway."""
    code = plain(answer.get("returnReasonCode"))
    return code if return_code.is_valid(code) else ""


def _reason(code: str) -> str:
    """Return the bank's reason for a code of the clearing house, or ACH_REFUSED and the code.

    The prefix keeps the code apart from the bank's reasons, which may have the same name.
    """
    return REASONS.get(code, f"ACH_REFUSED/{code}")


def submitted(status: int, answer: dict[str, Any]) -> Answer:
    """Read the answer to a submission.

    Only a tombstone means that the clearing house will never send the transfer. A refusal of the
    request itself gives the reason of this attempt; any other 4xx depends on the moment or concerns
    the caller.
    """
    trace, error = _trace(answer), _error(answer)
    if status == 202 and trace:
        return Answer(Outcome.ACCEPTED, trace)
    if status == 409 and error == "CANCELLED":
        return Answer(Outcome.RECALLED)
    if status in _REFUSALS and error:
        return Answer(Outcome.REFUSED, reason=_reason(error))
    return _NO_ANSWER


def queried(status: int, answer: dict[str, Any]) -> Answer:
    """Read the answer to a query."""
    trace = _trace(answer)
    if status == 404 and _error(answer) == "NOT_FOUND":
        return Answer(Outcome.NOT_FOUND)
    if status == 200 and plain(answer.get("state")) == "CANCELLED":
        return Answer(Outcome.RECALLED)
    rejected = plain(answer.get("rejectCode")) if plain(answer.get("state")) == "REJECTED" else ""
    if status == 200 and rejected:
        return Answer(Outcome.REFUSED, reason=_reason(rejected))
    if status == 200 and trace:
        outcome = _ENDED.get(plain(answer.get("state")), Outcome.ACCEPTED)
        return Answer(outcome, trace, return_code=_return_code(answer))
    return _NO_ANSWER


def recalled(status: int, answer: dict[str, Any]) -> Answer:
    """Read the answer to a recall. TOO_LATE may lack a trace number; a query asks for it later."""
    if status == 200 and plain(answer.get("state")) == "CANCELLED":
        return Answer(Outcome.RECALLED)
    if status == 409 and _error(answer) == "TOO_LATE":
        return Answer(Outcome.TOO_LATE, _trace(answer))
    return _NO_ANSWER
