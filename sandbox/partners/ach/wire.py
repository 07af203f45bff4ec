"""The JSON of the ACH API: parses and checks requests, writes answers.

This module does not handle HTTP.

Checks run in the order of a validation service: form of the request, routing number, account.
"""

import re
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from sandbox.partners.ach.book import Order, Transfer
from sandbox.partners.ach.clock import Schedule, rfc3339
from sandbox.partners.ach.routing_numbers import is_valid, known_banks
from sandbox.partners.refusals import WireError, parsed

# Entry ceiling of a Nacha file: 99,999,999.99.
AMOUNT_MINOR_UNITS_MAX = 9_999_999_999
_ACCOUNT = re.compile(r"(?=.*[0-9])[0-9A-Za-z-]{4,17}")
Text = Annotated[str, Field(max_length=255)]


class AccountType(StrEnum):
    """The types of account that the network credits."""

    CHECKING = "CHECKING"
    SAVINGS = "SAVINGS"


class _Wire(BaseModel):
    model_config = ConfigDict(extra="forbid")


class AmountJson(_Wire):
    """`minorUnits` is a JSON number, in cents."""

    currency: str
    minor_units: int = Field(alias="minorUnits", strict=True, ge=1, le=AMOUNT_MINOR_UNITS_MAX)


class TransferJson(_Wire):
    """Body of POST /ach/transfer."""

    amount: AmountJson
    routing: Text
    account: Text
    account_type: AccountType = Field(alias="accountType")
    name: Annotated[str, Field(min_length=1, max_length=140)]
    description: Annotated[str, Field(max_length=10)] = Field("", alias="companyEntryDescription")
    addenda: Annotated[str, Field(max_length=80)] = ""
    callback_reference: Text = Field("", alias="callbackReference")


class CancelJson(_Wire):
    """Body of POST /ach/transfer/cancel."""

    idempotency_key: Annotated[str, Field(min_length=1, max_length=255)] = Field(
        alias="idempotencyKey"
    )


def order_from(body: bytes) -> Order:
    """Parse and validate a transfer; raises WireError 400 (form) or 422 (content)."""
    wire = parsed(TransferJson, body)
    if wire.amount.currency != "USD":
        raise WireError(422, "INVALID_CURRENCY", "only USD is accepted", "amount.currency")
    if not is_valid(wire.routing):
        message = "nine digits with a valid check digit are required"
        raise WireError(422, "INVALID_ROUTING_NUMBER", message, "routing")
    if wire.routing not in known_banks():
        raise WireError(422, "UNKNOWN_ROUTING_NUMBER", "no bank has this number", "routing")
    if not _ACCOUNT.fullmatch(wire.account):
        message = "4 to 17 digits, letters or hyphens, one of them a digit"
        raise WireError(422, "INVALID_ACCOUNT", message, "account")
    return Order(
        minor_units=wire.amount.minor_units,
        currency=wire.amount.currency,
        routing=wire.routing,
        account=wire.account,
        account_type=wire.account_type,
        name=wire.name,
        description=wire.description,
        addenda=wire.addenda,
        callback_reference=wire.callback_reference,
    )


def participant(routing: str) -> dict[str, Any]:
    """Return a bank of the directory; raise WireError 404 for an unknown number."""
    name = known_banks().get(routing)
    if name is None:
        raise WireError(404, "NOT_FOUND", "no bank has this routing number", "routing")
    return {"routing": routing, "name": name}


def key_from_cancel(body: bytes) -> str:
    """Return the idempotency key of a cancel request."""
    return parsed(CancelJson, body).idempotency_key


def accepted(transfer: Transfer, trace: str | None, plan: Schedule) -> dict[str, Any]:
    """Return the answer to an accepted transfer, always with its state at acceptance."""
    return {
        "achTraceNumber": trace,
        "state": "ACCEPTED",
        "effectiveDate": _effective(transfer, plan),
    }


def resource(transfer: Transfer, trace: str | None, plan: Schedule) -> dict[str, Any]:
    """Return a transfer as queries show it; tombstones and rejections have no order or trace."""
    shown: dict[str, Any] = {
        "idempotencyKey": transfer.key,
        "achTraceNumber": trace,
        "state": transfer.state,
        "acceptTime": rfc3339(transfer.accepted_at),
        "effectiveDate": _effective(transfer, plan),
    }
    if transfer.state == "RETURNED":
        shown["returnReasonCode"] = transfer.ending.return_code
    if transfer.state == "REJECTED":
        shown["rejectCode"] = transfer.refusal
    order = transfer.order
    if order is not None:
        shown["amount"] = {"currency": order.currency, "minorUnits": order.minor_units}
        shown["routing"], shown["account"] = order.routing, order.account
        shown["accountType"], shown["name"] = order.account_type, order.name
        shown["callbackReference"] = order.callback_reference
    return shown


def _effective(transfer: Transfer, plan: Schedule) -> str | None:
    day = transfer.processing_day
    return plan.effective_date(day).isoformat() if day is not None else None
