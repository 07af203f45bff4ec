"""Names and memos: a person can see them, and an ACH entry can carry them."""

import uuid

import pytest
from bp.payments.v1.payments_service_pb2 import CreateInterbankTransferRequest
from bp.transfers.v1.transfers_service_pb2 import CreateBookTransferRequest
from bp.type.v1.account_ref_pb2 import AccountRef, AccountType
from bp.type.v1.money_pb2 import Money

from services.chassis.boundary import require_valid
from services.kernel.errors import InvalidArgument
from services.payments.checks import Limits, refuse_order
from services.payments.transfer import Beneficiary
from tests.unit.payments.orders import order

AMOUNT = Money(currency_code="USD", minor_units=1_00)
LIMITS = Limits(transfer_max=100_000_00, unscored_max=1_000_00)
OWN = "091000019"

UNSEEN = {
    "a blank": " ",
    "no-break spaces": "\u00a0\u00a0",
    "a line separator": "\u2028",
    "a line separator inside": "Bo\u2028Rivera",
    "a paragraph separator inside": "Bo\u2029Rivera",
    "a Hangul filler": "\u3164",
    "a halfwidth Hangul filler": "\uffa0",
    "Hangul jamo fillers": "\u115f\u1160",
    "an empty Braille pattern": "\u2800",
    "a noncharacter": "\uffff",
    "a noncharacter inside": "Bo\uffff",
    "an unassigned character": "Bo\u0378",
    "a private-use character": "Bo\ue000",
    "a lone combining mark": "\u0301",
    "a combining mark after a blank": " \u0301Bo",
    "a lone joiner": "\u200d",
    "a joiner at the end": "Bo\u200d",
    "a joiner at the beginning": "\u200cBo",
    "a change of direction": "Bo\u202eRivera",
    "a soft hyphen": "Bo\u00adRivera",
    "a tag character": "Bo\U000e0041",
    "a tabulator": "Bo\tRivera",
}
SEEN = {
    "plain": "Bo Rivera",
    "accents": "José Ñuñez",
    "an accent of its own": "Jose\u0301",
    "a no-break space inside": "Bo\u00a0Rivera",
    "a non-joiner inside": "\u0646\u0627\u0645\u0647\u200c\u0647\u0627",
    "a joiner inside": "\u0d28\u0d4d\u200d\u0d31",
    "blanks around": " Bo ",
    "emoji": "\U0001f469\u200d\U0001f467 \u2764\ufe0f",
}


def interbank(name: str, memo: str = "") -> CreateInterbankTransferRequest:
    return CreateInterbankTransferRequest(
        account_id=str(uuid.uuid4()),
        amount=AMOUNT,
        beneficiary=AccountRef(
            name=name,
            routing_number="021000021",
            account_number="123456",
            account_type=AccountType.CHECKING,
        ),
        memo=memo,
    )


def book(memo: str) -> CreateBookTransferRequest:
    ids = (str(uuid.uuid4()), str(uuid.uuid4()))
    return CreateBookTransferRequest(
        account_id=ids[0], destination_account_id=ids[1], amount=AMOUNT, memo=memo
    )


@pytest.mark.parametrize("text", UNSEEN.values(), ids=UNSEEN.keys())
def test_a_text_that_nobody_can_see_is_refused_with_its_field(text: str) -> None:
    requests = {
        "beneficiary.name": interbank(text),
        "memo": interbank("Bo", text),
    }
    for field, request in requests.items():
        with pytest.raises(InvalidArgument) as refusal:
            require_valid(request)
        assert {one.field for one in refusal.value.violations} == {field}
    with pytest.raises(InvalidArgument):
        require_valid(book(text))


@pytest.mark.parametrize("text", SEEN.values(), ids=SEEN.keys())
def test_a_text_that_can_be_seen_is_accepted(text: str) -> None:
    require_valid(interbank(text, text))
    require_valid(book(text))


def test_a_memo_may_be_empty_and_a_name_may_not() -> None:
    require_valid(interbank("Bo", ""))
    require_valid(book(""))
    with pytest.raises(InvalidArgument):
        require_valid(interbank(""))


NO_LINE = {
    "CJK": "\u738b\u5c0f\u660e",
    "emoji": "Bo \U0001f389",
    "Persian": SEEN["a non-joiner inside"],
}


@pytest.mark.parametrize("text", NO_LINE.values(), ids=NO_LINE.keys())
def test_what_no_ach_entry_can_carry_is_refused_before_the_debit(text: str) -> None:
    """Nacha's records hold printable ASCII."""
    beneficiary = Beneficiary(text, "021000021", "123456", "CHECKING")
    for field, asked in {
        "beneficiary.name": order(beneficiary=beneficiary),
        "memo": order(memo=text),
    }.items():
        refusal = refuse_order(asked, LIMITS, OWN)
        assert isinstance(refusal, InvalidArgument)
        assert [one.field for one in refusal.violations] == [field]
        assert text not in refusal.violations[0].description


def test_a_name_that_is_too_long_in_ascii_is_refused_before_the_debit() -> None:
    beneficiary = Beneficiary("\u00df" * 12, "021000021", "123456", "CHECKING")
    refusal = refuse_order(order(beneficiary=beneficiary), LIMITS, OWN)
    assert isinstance(refusal, InvalidArgument)


@pytest.mark.parametrize("text", ["José Ñuñez", "Jose\u0301", "Łódź – 5 €", "Bo\u200cRivera", ""])
def test_what_an_ach_entry_can_carry_in_ascii_is_accepted(text: str) -> None:
    assert refuse_order(order(memo=text), LIMITS, OWN) is None
