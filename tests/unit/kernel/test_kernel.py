"""Ids, money and routing numbers."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.ids import SHARDS, new_id, shard_of
from services.kernel.money import Money
from services.nacha.routing_number import check_digit, is_valid


@given(st.integers(0, SHARDS - 1))
def test_an_id_carries_the_shard_it_was_made_for_and_is_version_7(shard: int) -> None:
    made = new_id(shard)
    assert shard_of(made) == shard
    assert made.version == 7
    assert made.variant == uuid.RFC_4122


def test_ids_made_later_sort_later() -> None:
    first = new_id()
    while new_id().int >> 80 == first.int >> 80:
        pass
    assert new_id() > first


def test_money_reads_as_people_write_it() -> None:
    shown = [str(Money(units, "USD")) for units in (0, 5, 123_456_789, -100)]
    assert shown == ["USD 0.00", "USD 0.05", "USD 1,234,567.89", "USD -1.00"]


@pytest.mark.parametrize("number", ["021000021", "011401533", "091000019", "122105155"])
def test_routing_numbers_in_use_are_valid(number: str) -> None:
    assert is_valid(number)


@given(st.text(alphabet="0123456789", min_size=8, max_size=8), st.integers(0, 9))
def test_exactly_one_check_digit_is_right(stem: str, digit: int) -> None:
    assert is_valid(f"{stem}{digit}") == (digit == check_digit(stem))


@given(st.text())
def test_any_other_text_is_no_routing_number(text: str) -> None:
    if not (len(text) == 9 and text.isascii() and text.isdigit()):
        assert not is_valid(text)
