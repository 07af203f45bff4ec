"""What a caller reads about a field that breaks its rule: words, never a pattern or a number."""

import uuid
from collections.abc import Iterator

import pytest
from bp.auth.v1.auth_service_pb2 import BiometricData, LoginRequest, VerifyBiometricRequest
from bp.payments.v1.payments_service_pb2 import (
    CreateInterbankTransferRequest,
    ListInterbankTransfersRequest,
)
from bp.transfers.v1.transfers_service_pb2 import ListEntriesRequest
from bp.type.v1.account_ref_pb2 import AccountRef
from bp.type.v1.money_pb2 import Money
from buf.validate import validate_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from services import contracts
from services.chassis.boundary import require_valid
from services.contracts.rule_texts import rule_text
from services.kernel.errors import InvalidArgument

ID = str(uuid.uuid4())
AMOUNT = Money(currency_code="USD", minor_units=1)
UNTYPED = AccountRef(name="Bo", routing_number="021000021", account_number="1")
TIME = "must be a time in UTC as RFC 3339 writes it, from 1970 to 2999, such as"


def transfer(**changes: object) -> CreateInterbankTransferRequest:
    """Return a request whose beneficiary breaks one rule, or several."""
    beneficiary = AccountRef(account_type="CHECKING")  # pyright: ignore[reportArgumentType]
    beneficiary.MergeFrom(UNTYPED)
    beneficiary.MergeFrom(AccountRef(**changes))  # pyright: ignore[reportArgumentType]
    return CreateInterbankTransferRequest(account_id=ID, amount=AMOUNT, beneficiary=beneficiary)


CASES: list[tuple[Message, str, str]] = [
    (
        CreateInterbankTransferRequest(account_id=ID, amount=AMOUNT, beneficiary=UNTYPED),
        "beneficiary.accountType",
        "is required",
    ),
    (
        CreateInterbankTransferRequest(amount=AMOUNT, beneficiary=transfer().beneficiary),
        "accountId",
        "is required",
    ),
    (
        CreateInterbankTransferRequest(account_id=ID, beneficiary=transfer().beneficiary),
        "amount",
        "is required",
    ),
    (transfer(routing_number="12"), "beneficiary.routingNumber", "must be nine digits"),
    (
        transfer(account_number="12 34"),
        "beneficiary.accountNumber",
        "must be 1 to 17 letters, digits or hyphens",
    ),
    (
        CreateInterbankTransferRequest(
            account_id=ID,
            amount=Money(currency_code="usd", minor_units=1),
            beneficiary=transfer().beneficiary,
        ),
        "amount.currencyCode",
        "must be an ISO 4217 code of three capital letters, such as USD",
    ),
    (
        transfer(account_type=9),
        "beneficiary.accountType",
        "must be one of CHECKING, SAVINGS",
    ),
    (
        ListInterbankTransfersRequest(account_id=ID, create_time_from="yesterday"),
        "createTimeFrom",
        f"{TIME} 2026-03-01T00:00:00Z",
    ),
    (
        ListEntriesRequest(account_id=ID, type="OTHER"),  # pyright: ignore[reportArgumentType]
        "type",
        "must be one of ",
    ),
    # An absent text; protovalidate would count its characters.
    (LoginRequest(email="ana@customers.example"), "password", "is required"),
    # A oneof is in no caller's JSON, and its name has no number.
    (
        VerifyBiometricRequest(session_id="s", biometric_data=BiometricData()),
        "biometricData",
        "must have one of assertion, face",
    ),
]


@pytest.mark.parametrize(("request_", "field", "description"), CASES, ids=[c[1] for c in CASES])
def test_a_violation_says_in_words_what_the_field_must_be(
    request_: Message, field: str, description: str
) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        require_valid(request_)
    found = {one.field: one.description for one in refusal.value.violations}
    assert list(found) == [field]
    assert found[field].startswith(description)
    assert not {"OTHER", "ACCOUNT_TYPE_UNSPECIFIED"} & set(found[field].split(", "))


def test_the_name_rule_says_exactly_what_is_refused() -> None:
    """Spaces around a name are accepted, so the message must not say that they are refused."""
    require_valid(transfer(name=" Bo "))
    with pytest.raises(InvalidArgument) as refusal:
        require_valid(transfer(name="Bo\u200d"))
    (violation,) = refusal.value.violations
    assert violation.description == (
        "must have a visible character, with nothing but spaces before the first and after the "
        "last visible character"
    )


def _fields() -> Iterator[FieldDescriptor]:
    serialised = contracts.default_descriptor_set()
    pool = contracts.pool_of(serialised)
    for name in contracts.file_names(serialised):
        if name.startswith("bp/"):
            for message in pool.FindFileByName(name).message_types_by_name.values():
                yield from _fields_of(message)


def _fields_of(message: Descriptor) -> Iterator[FieldDescriptor]:
    """Return the fields of a message and of the messages in it."""
    yield from message.fields
    for nested in message.nested_types:
        yield from _fields_of(nested)


def _rules_of_text(field: FieldDescriptor) -> validate_pb2.StringRules:
    return field.GetOptions().Extensions[validate_pb2.field].string  # pyright: ignore[reportArgumentType, reportAttributeAccessIssue]


def test_every_field_with_a_pattern_has_its_rule_in_words() -> None:
    fields = [each for each in _fields() if _rules_of_text(each).HasField("pattern")]
    assert fields
    assert [field.full_name for field in fields if not rule_text(field)] == []


def test_a_text_that_is_too_short_is_always_an_absent_one() -> None:
    """So the words for it are "is required"."""
    lengths = {_rules_of_text(each).min_len for each in _fields()}
    assert lengths == {0, 1}
