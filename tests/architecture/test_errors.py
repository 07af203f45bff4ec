"""Every Python error has a reason in the contracts, and every reason has an error."""

import importlib
from pathlib import Path

from google.protobuf.descriptor import EnumDescriptor

from services import contracts
from services.kernel.errors import BankError, Code
from tests.architecture.sources import REPO

GATEWAY_ONLY = {
    "bp.policy.v1": {
        # Answered by the gateway, before any service is asked.
        "UNKNOWN_FIELD",
        "ORIGIN_FORBIDDEN",
        "MALFORMED_BODY",
        "ROUTE_NOT_FOUND",
        "REQUEST_TOO_LARGE",
        "UNSUPPORTED_MEDIA_TYPE",
        "NOT_ACCEPTABLE",
        "HTTP_VERSION_UNSUPPORTED",
    },
}
IN_EVENTS_ONLY = {"STEP_UP_REQUIRED"}
"""Reasons of declined orders whose error belongs to bp.policy.v1."""
UNUSED = {
    # No answer uses it, but buf breaking refuses to remove a released value.
    "bp.notifications.v1": {"DEVICE_UNREGISTERED"},
}


def _enums() -> dict[str, EnumDescriptor]:
    """Return the reason enum of each domain, {"bp.payments.v1": PaymentsErrorReason}."""
    pool = contracts.pool_of(contracts.default_descriptor_set())
    files = [
        pool.FindFileByName(path.relative_to(REPO / "proto").as_posix())
        for path in sorted((REPO / "proto").rglob("*_errors.proto"))
    ]
    return {file.package: next(iter(file.enum_types_by_name.values())) for file in files}


def _reasons(enum: EnumDescriptor) -> set[str]:
    return {value.name for value in enum.values if value.number != 0}


def _errors() -> list[type[BankError]]:
    """Return every error that is raised: the classes without subclasses."""
    for path in sorted((REPO / "services").rglob("errors.py")):
        importlib.import_module(_module_name(path))
    found: list[type[BankError]] = []
    pending: list[type[BankError]] = [BankError]
    while pending:
        error = pending.pop()
        narrower = error.__subclasses__()
        pending += narrower
        found += [] if narrower else [error]
    return found


def _module_name(path: Path) -> str:
    return ".".join(path.relative_to(REPO).with_suffix("").parts)


def test_every_error_has_a_reason_of_its_domain() -> None:
    enums = _enums()
    unknown = [
        f"{error.__module__}.{error.__name__}: {error.domain} {error.reason}"
        for error in _errors()
        if error.domain not in enums or error.reason not in _reasons(enums[error.domain])
    ]
    assert unknown == []


def test_every_reason_of_the_contracts_is_raised_or_named_as_the_gateways() -> None:
    raised = {(error.domain, error.reason) for error in _errors()}
    unused = {
        (domain, reason)
        for domain, enum in _enums().items()
        for reason in _reasons(enum)
        if reason not in GATEWAY_ONLY.get(domain, set()) | UNUSED.get(domain, set())
    } - raised
    in_events = {
        (f"bp.{name}.v1", one) for name in ("payments", "transfers") for one in IN_EVENTS_ONLY
    }
    assert unused == in_events


def test_a_reason_of_several_domains_has_one_code() -> None:
    codes: dict[str, set[Code]] = {}
    for error in _errors():
        codes.setdefault(error.reason, set()).add(error.code)
    assert {reason: found for reason, found in codes.items() if len(found) > 1} == {}
    assert codes["CURRENCY_UNSUPPORTED"] == {Code.FAILED_PRECONDITION}


def test_no_reason_of_the_gateway_alone_is_raised_by_a_service() -> None:
    raised = {(error.domain, error.reason) for error in _errors()}
    gateway_only = {
        (domain, reason) for domain, reasons in GATEWAY_ONLY.items() for reason in reasons
    }
    assert raised & gateway_only == set()


def test_every_errors_docstring_is_a_message_of_its_own() -> None:
    messages = [error.__doc__ for error in _errors() if "__doc__" in vars(error)]
    assert len(messages) == len(_errors())
    assert all(message and message.strip().endswith(".") for message in messages)
