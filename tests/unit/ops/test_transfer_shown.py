"""What `bpctl transfers show` prints about the lease of a transfer."""

import uuid
from datetime import UTC, datetime
from typing import Any

import pytest

from ops.bpctl.transfers import PENDING, fields, with_query_time
from services.payments import state

AT = "2026-03-03T12:00:00+00:00"
LEASED = {"lease_owner": "payments/0", "lease_until": AT, "attempts": 1}
FREE = LEASED | {"lease_owner": ""}
NEXT = {"next_query_time": AT, "attempts": 1}
BOOK: dict[str, Any] = {}

CASES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("CANCELLING", LEASED, LEASED),
    ("OUTCOME_UNKNOWN", FREE, NEXT),
    ("SUBMITTED", FREE, NEXT),
    ("SUBMITTED", LEASED, NEXT),
    (
        "SUBMITTED",
        FREE | {"lease_until": "9999-12-31T23:59:59.999999+00:00"},
        NEXT | {"next_query_time": "never"},
    ),
    ("COMPLETED", LEASED, {}),
    ("FAILED", FREE, {}),
    ("COMPLETED", BOOK, {}),
]


@pytest.mark.parametrize(("name", "columns", "shown"), CASES)
def test_a_transfer_that_has_ended_has_no_lease_and_a_waiting_one_the_time_of_its_next_query(
    name: str, columns: dict[str, Any], shown: dict[str, Any]
) -> None:
    """Previously a COMPLETED transfer had a "lease until" in the past."""
    assert with_query_time({"state": name, **columns}) == {"state": name, **shown}


def test_the_pending_states_are_those_of_the_saga() -> None:
    assert set(PENDING) == {one.name for one in state.PENDING}


def test_the_times_of_a_transfer_and_of_a_review_are_shown_to_the_second() -> None:
    at = "2026-03-03T12:00:00.123456+00:00"
    row = {
        "create_time": at,
        "decide_time": datetime.fromisoformat(at).astimezone(UTC),
        "lease_until": at,
        "next_query_time": "never",
        "memo": at,
        "transfer_id": uuid.UUID(int=7),
    }
    second = "2026-03-03 12:00:00Z"
    assert {one["field"]: one["value"] for one in fields(row)} == {
        "create time": second,
        "decide time": second,
        "lease until": second,
        "next query time": "never",
        "memo": at,
        "transfer id": uuid.UUID(int=7),
    }
