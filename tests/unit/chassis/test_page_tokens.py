"""Page tokens: a new filter does not change tokens of lists that do not use it."""

import itertools
import uuid
from datetime import UTC, datetime

import protovalidate
import pytest
from google.protobuf.message_factory import GetMessageClass

from services import contracts
from services.chassis.page_tokens import PAGE_ROWS_MAX, PageTokens, page_rows, query_digest
from services.kernel.errors import PageTokenInvalid
from services.kernel.time_range import ANY_TIME, TimeRange
from services.payments.handlers import _list_digest as interbank_digest
from services.payments.state import State
from services.transfers.handlers import _entries_digest as entries_digest
from services.transfers.handlers import _list_digest as book_digest
from services.transfers.state import Direction, TransferFilter
from services.transfers.statement import EntryFilter, EntryType

CUSTOMER = uuid.UUID("5d0c5a40-6f8e-4d0b-9a39-1f0c7a1f3f52")
ACCOUNT = uuid.UUID("5d0c5a40-6f8e-4d0b-9a39-1f0c7a1f3f53")
LAST = uuid.UUID("01a225f2-c5ad-7c06-b474-b012d5bd23fd")
TOKENS = PageTokens(bytes(32))
FORMER = {
    "interbank": (
        "rfedCVHOg7xOI5eoaCvLIwogUEgzmeBZ4dhxS_x-a2qSXQwuj9wHQ6vNfSmOllcLMUISEAGiJfLFrXwGtHSwEtW9I_0=",
        interbank_digest(CUSTOMER, ACCOUNT, None, ANY_TIME),
    ),
    "interbank in a state": (
        "nh_hdQwyThYVAcKEeMsYkAogsz-hrst0YrBU23L1Omgit2UXRWnoeZ-KpRcn9PEF_msSEAGiJfLFrXwGtHSwEtW9I_0=",
        interbank_digest(CUSTOMER, ACCOUNT, State.SUBMITTED, ANY_TIME),
    ),
    "book": (
        "WA436mG4O8d_ztoB-XmXHwogp1v508Ip3rMcFBoMZN05M9DizeEv2QUJeXx0hpq7sBASEAGiJfLFrXwGtHSwEtW9I_0=",
        book_digest(CUSTOMER, TransferFilter(ACCOUNT)),
    ),
}
"""Tokens from before lists had filters by time and direction, and the current digests of these
lists."""
SINCE = TimeRange(time_from=datetime(2026, 1, 1, tzinfo=UTC))
LISTS = [
    interbank_digest(CUSTOMER, ACCOUNT, None, ANY_TIME),
    interbank_digest(CUSTOMER, ACCOUNT, None, SINCE),
    interbank_digest(CUSTOMER, ACCOUNT, State.SUBMITTED, ANY_TIME),
    interbank_digest(CUSTOMER, ACCOUNT, State.SUBMITTED, SINCE),
    interbank_digest(CUSTOMER, CUSTOMER, None, ANY_TIME),
    book_digest(CUSTOMER, TransferFilter(ACCOUNT)),
    book_digest(CUSTOMER, TransferFilter(ACCOUNT, created=SINCE)),
    book_digest(CUSTOMER, TransferFilter(ACCOUNT, Direction.RECEIVED)),
    book_digest(CUSTOMER, TransferFilter(ACCOUNT, Direction.RECEIVED, SINCE)),
    entries_digest(CUSTOMER, EntryFilter(ACCOUNT)),
    entries_digest(CUSTOMER, EntryFilter(ACCOUNT, EntryType.BOOK_TRANSFER)),
    entries_digest(CUSTOMER, EntryFilter(ACCOUNT, created=SINCE)),
    query_digest("ListAccounts", CUSTOMER),
]


@pytest.mark.parametrize(("token", "digest"), FORMER.values(), ids=FORMER)
def test_a_token_of_an_earlier_version_continues_its_list(token: str, digest: bytes) -> None:
    assert TOKENS.open(token, digest) == LAST
    assert TOKENS.seal(digest, LAST) == token, "the earlier version accepts tokens of this version"


def test_a_token_opens_only_the_list_and_the_filters_that_it_was_made_for() -> None:
    for made_for, opened in itertools.product(LISTS, LISTS):
        token = TOKENS.seal(made_for, LAST)
        if made_for is opened:
            assert TOKENS.open(token, opened) == LAST
        else:
            with pytest.raises(PageTokenInvalid, match="Start at the first page"):
                TOKENS.open(token, opened)


PAGED = [
    contract
    for contract in contracts.load().values()
    if "page_size" in contract.request.fields_by_name
]


@pytest.mark.parametrize("contract", PAGED, ids=lambda contract: contract.path)
def test_a_page_size_above_the_maximum_means_the_maximum(
    contract: contracts.MethodContract,
) -> None:
    """AIP-158: the service coerces it. Only a negative number is an error."""
    for size in (0, PAGE_ROWS_MAX, PAGE_ROWS_MAX + 1, 2**31 - 1):
        assert "page_size" not in _violated(contract, size)
        assert page_rows(size) == (min(size, PAGE_ROWS_MAX) or 50)
    assert "page_size" in _violated(contract, -1)


def _violated(contract: contracts.MethodContract, page_size: int) -> set[str]:
    request = GetMessageClass(contract.request)(page_size=page_size)
    paths = [each.proto.field for each in protovalidate.collect_violations(request)]
    return {element.field_name for path in paths if path for element in path.elements}
