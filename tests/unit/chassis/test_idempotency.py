"""The fingerprint of a request: equal for equal orders, however their UUIDs are written."""

import uuid

from bp.payments.v1.payments_service_pb2 import CreateInterbankTransferRequest
from bp.transfers.v1.transfers_service_pb2 import CreateBookTransferRequest
from bp.type.v1.account_ref_pb2 import AccountRef
from bp.type.v1.money_pb2 import Money

from services.chassis.idempotency import fingerprint, former_fingerprint

ACCOUNT = "5d0c5a40-6f8e-4d0b-9a39-1f0c7a1f3f52"
OTHER = "5d0c5a40-6f8e-4d0b-9a39-1f0c7a1f3f53"


def interbank(account: str, **beneficiary: str) -> CreateInterbankTransferRequest:
    return CreateInterbankTransferRequest(
        account_id=account,
        amount=Money(currency_code="USD", minor_units=1_00),
        beneficiary=AccountRef(routing_number="021000021", **beneficiary),
    )


def test_a_uuid_in_capitals_is_the_same_request() -> None:
    small, capitals = interbank(ACCOUNT), interbank(ACCOUNT.upper())
    assert fingerprint(small) == fingerprint(capitals)
    assert capitals.account_id == ACCOUNT.upper(), "the request itself stays as it is"
    book = CreateBookTransferRequest(account_id=ACCOUNT, destination_account_id=OTHER)
    written = CreateBookTransferRequest(
        account_id=ACCOUNT.upper(), destination_account_id=OTHER.upper()
    )
    assert fingerprint(book) == fingerprint(written)


def test_a_fingerprint_of_small_letters_is_that_of_earlier_versions() -> None:
    """Fingerprints are stored with their keys, so an update must not change their values."""
    stored = "e506645d320aace1"
    assert fingerprint(interbank(ACCOUNT, account_number="42")).hex()[:16] == stored


def test_another_payload_is_another_request() -> None:
    assert fingerprint(interbank(ACCOUNT)) != fingerprint(interbank(OTHER))
    one, other = interbank(ACCOUNT, account_number="ab"), interbank(ACCOUNT, account_number="AB")
    assert fingerprint(one) != fingerprint(other)
    assert fingerprint(interbank(str(uuid.uuid4()))) != fingerprint(interbank(str(uuid.uuid4())))


def test_the_fingerprint_of_the_earlier_version_is_that_of_the_request_as_it_was_sent() -> None:
    capitals = interbank(ACCOUNT.upper(), account_number="42")
    former = former_fingerprint(capitals)
    assert former is not None
    assert former.hex()[:16] == "8718fdf062f5e94b"
    assert former != fingerprint(capitals)
    assert former_fingerprint(interbank(ACCOUNT, account_number="42")) is None
