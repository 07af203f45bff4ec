"""Calls of the REST API through the gateway, and what was answered: status, headers and body."""

import json
import re
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

import aiohttp
from yarl import URL

from lab.conformance.calls.machine import Machine
from lab.conformance.calls.outside import Outside
from ops.waiting import scaled_s, until

Answers = dict[str, str]
_ACCOUNTS = "/v1/accounts"
_TRANSFERS = "/v1/transfers/internal"
_LOGIN = "/v1/auth/login"
_BIOMETRIC = "/v1/auth/biometric"
_WEBHOOK = "/v1/webhooks/sms"
_APP, _FOREIGN = "https://app.bp.example", "https://foreign.example"
_JSON = {"content-type": "application/json"}
_READY_S = 60
_CALL_S = 90
_FLOOD = 400
"""More calls than the bucket of logins has tokens."""
_CHANGING = {"date", "x-request-id", "content-length", "transfer-encoding", "connection"}
_SEEN = (
    "x-bp-subject",
    "x-bp-scope",
    "x-bp-client-address",
    "authorization",
    "x-envoy-original-path",
)


@dataclass(frozen=True)
class Case:
    """One request."""

    name: str
    verb: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: bytes = b""
    streamed: bool = False
    """Whether the body is sent without its length."""
    partner: bool = False
    """Whether the caller presents a partner's certificate."""


def cases(machine: Machine) -> list[Case]:
    """Return the requests; every one of a customer has a token."""
    return [*_of_customers(machine), *_of_anyone(), *_of_partners()]


def _of_customers(machine: Machine) -> list[Case]:
    issuer = machine.issuer
    good = _bearer(issuer.token())
    sent = {
        "a customer's call": good,
        "a call without a token": {},
        "a token with a wrong signature": _bearer(issuer.token(forged=True)),
        "a token for another audience": _bearer(issuer.token(aud="https://other.example")),
        "a token of another issuer": _bearer(issuer.token(iss="https://other.example")),
        "an expired token": _bearer(issuer.token(lives_s=-60)),
        "a token that lives too long": _bearer(issuer.token(lives_s=86_400)),
        "a token without the scope": _bearer(issuer.token(scope="other")),
        "a caller that sets the customer itself": {**good, "x-bp-subject": "forged"},
        "two hosts": {**good, "host": "one.example,two.example"},
    }
    key = {"idempotency-key": "0190a8a0-0000-7000-8000-00000000001d"}
    posted = {**good, **_JSON, **key}
    return [
        *(Case(name, "GET", _ACCOUNTS, headers) for name, headers in sent.items()),
        Case("HEAD instead of GET", "HEAD", _ACCOUNTS, good),
        Case("an unknown parameter", "GET", f"{_ACCOUNTS}?nothing=1", good),
        Case("a wrong parameter", "GET", f"{_ACCOUNTS}?page_size=many", good),
        Case("an escaped slash", "GET", "/v1%2Faccounts", good),
        Case("a body that is too large", "POST", _TRANSFERS, posted, b"[" * 70_000),
        Case("a body that is no JSON", "POST", _TRANSFERS, posted, b"["),
        Case("a body without its key", "POST", _TRANSFERS, {**good, **_JSON}, b"{}"),
    ]


def _of_anyone() -> list[Case]:
    ask = {"origin": _APP, "access-control-request-method": "GET"}
    return [
        Case("an unknown path", "GET", "/v1/nothing"),
        Case("an unknown path from the app's site", "GET", "/v1/nothing", {"origin": _APP}),
        Case("a wrong verb", "PUT", _ACCOUNTS),
        Case("OPTIONS", "OPTIONS", _ACCOUNTS),
        Case("a preflight of the app's site", "OPTIONS", _ACCOUNTS, ask),
        Case("a preflight of an unknown path", "OPTIONS", "/v1/nothing", ask),
        Case("a preflight of a foreign site", "OPTIONS", _ACCOUNTS, {**ask, "origin": _FOREIGN}),
        Case("a header with an underscore", "GET", _ACCOUNTS, {"x_under": "1"}),
        Case("headers that are too large", "GET", _ACCOUNTS, {"x-large": "x" * 20_000}),
        Case("an unknown field", "POST", _LOGIN, _JSON, b'{"nothing": 1}'),
        Case("a login from a foreign site", "POST", _LOGIN, {**_JSON, "origin": _FOREIGN}, b"{}"),
        Case("a login that is too large", "POST", _LOGIN, _JSON, b"[" * 9_000),
        Case("a picture without its length", "POST", _BIOMETRIC, _JSON, b"{}", streamed=True),
        Case("a text that is no JSON type", "POST", _LOGIN, {"content-type": "text/plain"}, b"{}"),
    ]


def _of_partners() -> list[Case]:
    event = b'{"eventId": "one"}'
    return [
        Case("a webhook without a certificate", "POST", _WEBHOOK, _JSON, event),
        Case("a webhook to an unavailable service", "POST", _WEBHOOK, _JSON, event, partner=True),
    ]


async def answers(machine: Machine, outside: Outside) -> Answers:
    """Make all calls; return the answer by what was called."""
    async with _session(machine, partner=False) as caller:
        await _ready(caller, machine)
        async with _session(machine, partner=True) as partner:
            found = {
                f"gateway, {each.name}": await _answer(
                    partner if each.partner else caller, machine, outside, each
                )
                for each in cases(machine)
            }
        found["gateway, a flood of logins"] = await _flooded(caller, machine, outside)
        return found


def _session(machine: Machine, *, partner: bool) -> aiohttp.ClientSession:
    tls = ssl.create_default_context(cafile=str(machine.mesh.pem))
    tls.check_hostname = False
    if partner:
        folder = machine.certificates / "webhook"
        tls.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    limit = aiohttp.ClientTimeout(scaled_s(_CALL_S))
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls), timeout=limit)


async def _answer(
    session: aiohttp.ClientSession, machine: Machine, outside: Outside, case: Case
) -> str:
    outside.seen.clear()
    body = _pieces(case.body) if case.streamed else case.body
    headers = {"host": "api.bp.example", **case.headers}
    url = URL(f"https://{machine.edge}{case.path}", encoded=True)
    async with session.request(
        case.verb, url, headers=headers, data=body, skip_auto_headers=("content-type",)
    ) as answer:
        text = await answer.text()
        said = sorted(f"{k.lower()}: {_listed(v)}" for k, v in answer.headers.items() if _kept(k))
    seen = {name: outside.seen[name] for name in _SEEN if name in outside.seen}
    return f"{answer.status} {_plain(text)} {said} the service sees {seen or 'nothing'}"


def _plain(text: str) -> str:
    try:
        return json.dumps(json.loads(text), sort_keys=True)
    except ValueError:
        return re.sub(r"\s+", " ", text)


def _listed(value: str) -> str:
    """Return a list with the spaces that one side writes and the other does not."""
    return ", ".join(each.strip() for each in value.split(","))


def _kept(name: str) -> bool:
    return name.lower() not in _CHANGING


async def _pieces(body: bytes) -> AsyncIterator[bytes]:
    yield body


async def _flooded(session: aiohttp.ClientSession, machine: Machine, outside: Outside) -> str:
    """Return the first answer of another kind to equal calls."""
    case = Case("", "POST", _LOGIN, _JSON, b'{"nothing": 1}')
    first = await _answer(session, machine, outside, case)
    for _ in range(_FLOOD):
        if (answer := await _answer(session, machine, outside, case)) != first:
            return answer
    return first


async def _ready(session: aiohttp.ClientSession, machine: Machine) -> None:
    """Wait until the gateway has the issuer's keys and reaches the service."""

    async def called() -> bool:
        headers = {"host": "api.bp.example", **_bearer(machine.issuer.token())}
        try:
            async with session.get(f"https://{machine.edge}{_ACCOUNTS}", headers=headers) as one:
                return one.status == 200
        except (TimeoutError, aiohttp.ClientError, OSError):
            return False

    await until(called, _READY_S, "a customer's call through the gateway")


def _bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}
