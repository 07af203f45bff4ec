"""Sends raw bytes to the gateway without a client library, and checks the shape of the answer."""

import asyncio
import json
import ssl
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from lab.fuzz.log_leaks import PAYEE_ACCOUNT, PAYEE_NAME, find_leaks
from lab.fuzz.rpcs import reasons
from ops.waiting import scaled_s
from tests.rigs.running_bank import Bank, Customer

ANSWER_WITHIN_S = 5.0
PATH = "/v1/transfers/interbank"

PAYEE = {
    "name": PAYEE_NAME,
    "routingNumber": "021000021",
    "accountNumber": PAYEE_ACCOUNT,
    "accountType": "CHECKING",
}
MEMO = "for the glockenspiel"


@dataclass(frozen=True)
class Wire:
    """One raw answer. Status 0: the connection ended without an answer."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    text: str = ""

    @property
    def reason(self) -> str:
        """ErrorInfo's reason. Empty if the answer does not have the shape of an error."""
        try:
            details = json.loads(self.text)["details"]
        except (ValueError, KeyError, TypeError):
            return ""
        return next((each["reason"] for each in details if "reason" in each), "")


@dataclass(frozen=True)
class Case:
    """The bytes to send, and the expected answer."""

    what: str
    raw: bytes
    status: int
    reason: str
    within_s: float = ANSWER_WITHIN_S


def order(payer: Customer, **changes: Any) -> dict[str, Any]:
    """Return a valid order with changes."""
    good = {
        "accountId": str(payer.account_id),
        "amount": {"currencyCode": "USD", "minorUnits": "1000"},
        "beneficiary": PAYEE,
        "memo": MEMO,
    }
    return good | changes


def request(
    verb: str,
    path: str,
    *lines: str,
    token: str = "",
    body: bytes | None = None,
    host: str = "localhost",
) -> bytes:
    """Return a request with the given header lines. It has a Content-Length only with a body."""
    head = [f"{verb} {path} HTTP/1.1", f"Host: {host}", "Connection: close", *lines]
    if token:
        head.append(f"Authorization: Bearer {token}")
    if body is not None:
        head.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*head, "", ""]).encode("latin-1") + (body or b"")


def post(payer: Customer, content: Any, *lines: str, key: str | None = None) -> bytes:
    """Return a POST of an order. `content` is bytes, or is converted to JSON."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    named = f"Idempotency-Key: {uuid.uuid4() if key is None else key}"
    kind = "Content-Type: application/json"
    return request("POST", PATH, kind, named, *lines, token=payer.token, body=body)


async def ask(bank: Bank, raw: bytes, within_s: float = ANSWER_WITHIN_S) -> Wire:
    """Send bytes on a new connection and read one answer. Raises TimeoutError if no answer came."""
    where = urlsplit(bank.where["BP_GATEWAY_URL"])
    tls = ssl.create_default_context(cafile=bank.where["BP_CA_FILE"])
    reader, writer = await asyncio.open_connection(where.hostname, where.port, ssl=tls)
    try:
        async with asyncio.timeout(scaled_s(within_s)):
            # The gateway may answer and close before it has read everything.
            sending = asyncio.ensure_future(_send(writer, raw))
            answer = await _read(reader)
            sending.cancel()
            return answer
    finally:
        writer.transport.abort()


async def _send(writer: asyncio.StreamWriter, raw: bytes) -> None:
    try:
        writer.write(raw)
        await writer.drain()
    except ConnectionError:
        return


async def _read(reader: asyncio.StreamReader) -> Wire:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except (asyncio.IncompleteReadError, ConnectionError):
        return Wire(0)
    first, *lines = head.strip().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    length = headers.get("content-length")
    try:
        body = await (reader.read() if length is None else reader.readexactly(int(length)))
    except (asyncio.IncompleteReadError, ConnectionError):
        body = b""
    return Wire(int(first.split(" ")[1]), headers, body.decode(errors="replace"))


async def refused(bank: Bank, cases: Sequence[Case]) -> list[str]:
    """Send the cases one after the other. Return each wrong answer with the name of its case."""
    found = [await _wrong(bank, case) for case in cases]
    return [each for each in found if each]


async def _wrong(bank: Bank, case: Case) -> str:
    try:
        answer = await ask(bank, case.raw, case.within_s)
    except TimeoutError:
        return f"{case.what}: no answer within {scaled_s(case.within_s):g} s"
    if (answer.status, answer.reason) != (case.status, case.reason):
        return f"{case.what}: {answer}"
    return f"{case.what}: {answer}" if _has_wrong_shape(answer) else ""


def _has_wrong_shape(answer: Wire) -> bool:
    body = json.loads(answer.text)
    infos: list[Mapping[str, Any]] = [d for d in body["details"] if "reason" in d]
    known = reasons()
    return (
        not answer.headers.get("content-type", "").startswith("application/json")
        or not body["message"]
        or "Traceback" in answer.text
        or any(info["reason"] not in known[info["domain"]] for info in infos)
    )


def require_silence(bank: Bank, *words: str) -> None:
    """Require that no log of the bank holds a payee's data or a secret."""
    found = find_leaks(bank.stack, (PAYEE_NAME, PAYEE_ACCOUNT, MEMO, *words))
    assert not found, found
