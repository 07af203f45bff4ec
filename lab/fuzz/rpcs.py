"""Calls every RPC with generated requests: each answer must follow the contract.

hypothesis generates the requests. The first request that breaks a rule is shrunk and raised as a
BrokenContractError that shows it.
"""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import grpc
from hypothesis import HealthCheck, given, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st

from lab.fuzz.mesh import Mesh, Reply
from lab.fuzz.messages import Ids, requests
from ops.waiting import scaled_s
from sandbox.app import App
from sandbox.client import SCOPES, BankClient, Customer
from services import contracts
from services.contracts import MethodContract

ANSWER_WITHIN_S = 5.0

# On a complete stack, no request may cause one of these answers.
BANK_AT_FAULT = frozenset({"INTERNAL_ERROR", "DEADLINE_EXCEEDED", "DEPENDENCY_UNAVAILABLE"})

NEW_PASSWORD = "seven purple tugboats"

_SHOWN_CHARS = 400
_NEVER = (grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL)

_KEYS = st.one_of(
    *[st.uuids().map(str)] * 4,
    st.sampled_from(["", "k", "k" * 255, "k" * 256, "a b", "'; --", "~" * 4_000]),
)
_TRACES = st.sampled_from(["", "00-" + "a" * 32 + "-" + "b" * 16 + "-01", "zz", "0" * 3_000, "'"])
_SUBJECTS = st.sampled_from([*["own"] * 9, "", "not-a-uuid", "0" * 400])


class _Bytes(bytes):
    """A request with a shortened repr, because a reader cannot use 64 KB of bytes."""

    def __repr__(self) -> str:
        shown = super().__repr__()
        return shown if len(shown) < _SHOWN_CHARS else f"{shown[:_SHOWN_CHARS]}… {len(self)} bytes"


class BrokenContractError(AssertionError):
    """A method gave an answer that the contract does not allow."""


@dataclass
class Tally:
    """The number of calls, and of each answer."""

    calls: int = 0
    answers: Counter[str] = field(default_factory=Counter[str])


def methods() -> list[MethodContract]:
    """Return every method of the bank."""
    return list(contracts.load().values())


async def ids_of(bank: BankClient, payer: Customer, payee: Customer) -> Ids:
    """Make one transfer of each kind and log in twice; return the ids and secrets that the payer's
    requests can name. The session and device of the second login may end."""
    sent = await bank.pay(payer, 1_00)
    booked = await bank.book(payer, payee, 1_00)
    phone, tablet = [await App.of(bank, payer, name) for name in ("Phone", "Tablet")]
    first, second = await phone.log_in(), await tablet.log_in()
    listed = await phone.get("/v1/auth/sessions")
    waiting = await tablet.login()
    for answer in (first, second, listed, waiting):
        if answer.status != 200:
            raise RuntimeError(f"the payer cannot log in: {answer.text}")
    return {
        "email": [phone.identity.email],
        "password": [phone.identity.password],
        "current_password": [phone.identity.password],
        "new_password": [NEW_PASSWORD],
        "refresh_token": [phone.phone.refresh_token],
        "device_token": [phone.phone.device_token],
        "session_id": [listed.body["sessions"][0]["sessionId"], waiting.body["sessionId"]],
        "device_id": [second.body["device"]["deviceId"]],
        "own_device_id": [first.body["device"]["deviceId"]],
        "customer_id": [str(payer.customer_id)],
        "account_id": [str(payer.account_id)],
        "destination_account_id": [str(payee.account_id)],
        "transfer_id": [sent.body["transferId"], booked.body["transferId"]],
    }


def attack(
    mesh: Mesh,
    contract: MethodContract,
    customer: Customer,
    ids: Ids,
    *,
    examples: int,
    seed: int,
) -> Tally:
    """Send generated requests to one method. Raises BrokenContractError if an answer breaks the
    contract."""
    tally, known = Tally(), reasons()
    config = settings(
        max_examples=examples,
        database=None,
        deadline=None,
        suppress_health_check=(HealthCheck.too_slow, HealthCheck.data_too_large),
        print_blob=False,
    )

    # Each method has its own keys, because a customer's key is unique across all methods.
    @seeded(f"{seed} {contract.path}")
    @config
    @given(requests(contract.request, ids).map(_Bytes), _KEYS, _TRACES, _SUBJECTS)
    def each(request: _Bytes, key: str, trace: str, subject: str) -> None:
        own = str(customer.customer_id)
        metadata = {
            "x-bp-subject": own if subject == "own" else subject,
            "x-bp-scope": SCOPES,
            # Each call has its own session, because Logout ends it.
            "x-bp-session": str(uuid.uuid4()),
            "x-bp-device": ids["own_device_id"][0],
            "x-bp-auth-time": str(int(time.time())),
            "x-bp-partner": next(iter(contract.partners), ""),
            "idempotency-key": key,
            "traceparent": trace,
            "x-request-id": key,
        }
        begun = time.monotonic()
        reply = mesh.call(contract, bytes(request), metadata)
        tally.calls += 1
        tally.answers[reply.reason or reply.code.name] += 1
        _require_contract(reply, known, time.monotonic() - begun)

    run: Callable[[], None] = each
    run()
    return tally


def reasons() -> dict[str, frozenset[str]]:
    """Return the reasons of the contract by domain."""
    found: dict[str, frozenset[str]] = {}
    image = contracts.default_descriptor_set()
    pool = contracts.pool_of(image)
    for name in contracts.file_names(image):
        if name.endswith("_errors.proto"):
            file = pool.FindFileByName(name)
            enums = file.enum_types_by_name.values()
            found[file.package] = frozenset(v.name for e in enums for v in e.values if v.number)
    return found


def _require_contract(reply: Reply, known: dict[str, frozenset[str]], took_s: float) -> None:
    if took_s > scaled_s(ANSWER_WITHIN_S):
        raise BrokenContractError(f"the answer took {took_s:.1f} s: {reply}")
    if reply.code is grpc.StatusCode.OK:
        return
    if reply.reason not in known.get(reply.domain, frozenset()):
        raise BrokenContractError(f"the refusal has no reason of the contract: {reply}")
    if reply.code in _NEVER or reply.reason in BANK_AT_FAULT:
        raise BrokenContractError(f"the bank failed: {reply}")
