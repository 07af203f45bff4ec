"""Unknown addresses cost the same work as known ones, also after a change of bcrypt's cost."""

import re
from collections import Counter
from hashlib import sha256

import bcrypt
from hypothesis import given
from hypothesis import strategies as st

from services.auth.dummies import Dummies

HASHED = bcrypt.hashpw(b"random", bcrypt.gensalt(4))
ADDRESSES = [sha256(b"%d" % n).digest() for n in range(2_000)]
"""Blind indexes of unknown addresses."""
counts = st.dictionaries(st.integers(4, 31), st.integers(0, 10**7), max_size=5)


def _cost(dummy: bytes) -> int:
    found = re.fullmatch(rb"\$2b\$(\d\d)\$[./A-Za-z0-9]{53}", dummy)
    assert found, "not a hash of bcrypt"
    return int(found[1])


def _costs(dummies: Dummies) -> Counter[int]:
    return Counter(_cost(dummies.hash_for(address)) for address in ADDRESSES)


def test_without_a_stored_hash_each_dummy_has_the_current_cost():
    dummies = Dummies(HASHED, 12)
    dummies.spread({})
    assert set(_costs(dummies)) == {12}


def test_after_a_change_of_the_cost_dummies_have_the_cost_of_the_stored_hashes():
    """All stored hashes still have the cost 12: a dummy of 13 would reveal every customer."""
    dummies = Dummies(HASHED, 13)
    dummies.spread({12: 1_000})
    assert set(_costs(dummies)) == {12}


def test_dummies_have_the_costs_of_the_stored_hashes_in_the_same_shares():
    dummies = Dummies(HASHED, 13)
    dummies.spread({12: 750, 13: 250})
    costs = _costs(dummies)
    assert set(costs) == {12, 13}
    assert 0.70 < costs[12] / len(ADDRESSES) < 0.80


def test_an_address_changes_to_the_new_cost_once_as_customers_do():
    """The hash of a customer never changes back."""
    dummies, seen = Dummies(HASHED, 13), list[list[int]]()
    for old in (1_000, 900, 500, 100, 0):
        dummies.spread({12: old, 13: 1_000 - old})
        seen.append([_cost(dummies.hash_for(address)) for address in ADDRESSES])
    for costs in zip(*seen, strict=True):
        assert list(costs) == sorted(costs)
    assert set(seen[-1]) == {13}


@given(counts, st.binary(min_size=32, max_size=32))
def test_a_dummy_has_the_cost_of_some_stored_hash_and_stays_the_same(
    hashes: dict[int, int], account: bytes
):
    dummies = Dummies(HASHED, 12)
    dummies.spread(hashes)
    dummy = dummies.hash_for(account)
    assert dummy == dummies.hash_for(account)
    assert _cost(dummy) in ({cost for cost, n in hashes.items() if n} or {12})


def test_no_password_matches_a_dummy():
    dummies = Dummies(HASHED, 4)
    assert not bcrypt.checkpw(b"random", dummies.hash_for(ADDRESSES[0]))
