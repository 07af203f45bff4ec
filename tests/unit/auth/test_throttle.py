"""Whose tries count together."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.auth.state import Factor, Purpose
from services.auth.throttle import (
    ADDRESS_LEAK_S,
    FORGET_S,
    FORGET_STRANGERS_S,
    RULES,
    Scope,
    Subject,
    counters_of,
    counters_of_account,
    counters_of_reset,
    network_of,
    site_of,
)

KEY = b"k" * 32
ACCOUNT, OTHER_ACCOUNT = b"a" * 32, b"b" * 32
DEVICE, SESSION = uuid.UUID(int=1), uuid.UUID(int=2)
ADDRESS = "192.0.2.7"

subjects = st.builds(
    Subject,
    account=st.binary(min_size=1, max_size=32),
    device_id=st.none() | st.uuids(),
    address=st.sampled_from(["", ADDRESS, "192.0.2.8", "2001:db8::/64"]),
    session_id=st.none() | st.uuids(),
)
factors = st.sampled_from(Factor)


def _keys(subject: Subject, factor: Factor = Factor.PASSWORD) -> dict[Scope, str]:
    return {each.scope: each.key for each in counters_of(KEY, subject, factor)}


@given(subjects, factors, st.uuids(), factors)
def test_no_try_of_a_stranger_counts_for_a_known_device(
    subject: Subject, factor: Factor, device_id: uuid.UUID, owners_factor: Factor
):
    """The counters have no key in common, whatever account and address are."""
    stranger = Subject(subject.account, None, subject.address)
    owner = Subject(subject.account, device_id, subject.address)
    theirs, own = _keys(stranger, factor), _keys(owner, owners_factor)
    assert set(theirs.values()).isdisjoint(own.values())
    assert set(own) == {Scope.DEVICE}


@given(st.none() | st.uuids(), st.uuids(), factors)
def test_no_try_with_an_access_token_counts_for_a_login(
    device_id: uuid.UUID | None, session_id: uuid.UUID, factor: Factor
):
    """A thief of a token would otherwise lock the owner's login on that device."""
    login = Subject(ACCOUNT, device_id, ADDRESS)
    called = Subject(ACCOUNT, device_id, ADDRESS, session_id=session_id)
    assert set(_keys(called, factor)) == {Scope.SESSION}
    assert set(_keys(called, factor).values()).isdisjoint(_keys(login, factor).values())


def test_each_session_and_factor_has_a_counter_of_its_own():
    """After a new login, the owner has tries again."""
    keys = [
        _keys(Subject(ACCOUNT, DEVICE, ADDRESS, session_id=session_id), factor)[Scope.SESSION]
        for session_id in (SESSION, uuid.UUID(int=3))
        for factor in Factor
    ]
    assert len(set(keys)) == 2 * len(Factor)


@given(subjects, factors)
def test_strangers_of_an_account_share_one_counter_at_each_address(
    subject: Subject, factor: Factor
):
    """Neither a new session nor a new address gives new tries."""
    one = Subject(subject.account, None, subject.address)
    other = Subject(subject.account, None, "203.0.113.9")
    assert _keys(one, factor)[Scope.STRANGERS] == _keys(other, factor)[Scope.STRANGERS]


def test_an_address_has_one_counter_for_all_accounts_and_factors():
    one = _keys(Subject(ACCOUNT, None, ADDRESS), Factor.PASSWORD)
    other = _keys(Subject(OTHER_ACCOUNT, None, ADDRESS), Factor.SMS_CODE)
    assert one[Scope.ADDRESS] == other[Scope.ADDRESS]
    assert one[Scope.STRANGERS] != other[Scope.STRANGERS]


def test_each_factor_account_and_device_has_a_counter_of_its_own():
    seen = [
        _keys(Subject(account, device, ""), factor)
        for account in (ACCOUNT, OTHER_ACCOUNT)
        for device in (None, uuid.UUID(bytes=account[:16]))
        for factor in Factor
    ]
    keys = [key for each in seen for key in each.values()]
    assert len(set(keys)) == len(keys) == 4 * len(Factor)


@given(subjects, factors)
def test_wrong_codes_of_resets_delay_no_login(subject: Subject, factor: Factor):
    """Any caller can begin a reset of a known address. Only the network address counts both."""
    login, reset = (
        _keys(Subject(subject.account, subject.device_id, subject.address, purpose), factor)
        for purpose in (Purpose.LOGIN, Purpose.RESET)
    )
    for network in (Scope.ADDRESS, Scope.SITE):
        assert login.pop(network, "") == reset.pop(network, "")
    assert set(login.values()).isdisjoint(reset.values())
    assert login.keys() == reset.keys()


def test_an_unknown_address_has_no_counter():
    assert set(_keys(Subject(ACCOUNT, None, ""))) == {Scope.STRANGERS}


@given(subjects, factors)
def test_keys_show_neither_account_nor_address(subject: Subject, factor: Factor):
    for counter in counters_of(KEY, subject, factor):
        kind, scope, digest = counter.key.split(":")
        assert (kind, len(scope)) == ("tries", 1)
        assert len(digest) == 16
        assert counter not in counters_of(b"l" * 32, subject, factor)


def test_unlock_names_each_counter_of_the_account_and_no_address():
    unlocked = {each.key for each in counters_of_account(KEY, ACCOUNT, [DEVICE])}
    for factor in Factor:
        for purpose in (Purpose.LOGIN, Purpose.RESET):
            stranger = Subject(ACCOUNT, None, ADDRESS, purpose)
            owner = Subject(ACCOUNT, DEVICE, ADDRESS, purpose)
            assert _keys(stranger, factor)[Scope.STRANGERS] in unlocked
            assert _keys(owner, factor)[Scope.DEVICE] in unlocked
    assert counters_of_reset(KEY, DEVICE, ADDRESS)[0].key in unlocked
    assert len(unlocked) == 2 * 2 * len(Factor) + 1


@given(subjects, factors)
def test_resets_that_begin_count_for_no_try(subject: Subject, factor: Factor):
    """Strangers who begin resets must not delay the logins of customers with their address."""
    begun = {each.key for each in counters_of_reset(KEY, subject.device_id, subject.address)}
    assert begun.isdisjoint(each.key for each in counters_of(KEY, subject, factor))


def test_resets_of_a_known_device_count_for_the_device_and_others_for_their_address():
    assert [each.scope for each in counters_of_reset(KEY, DEVICE, ADDRESS)] == [Scope.DEVICE]
    assert [each.scope for each in counters_of_reset(KEY, None, ADDRESS)] == [Scope.ADDRESS]
    assert not counters_of_reset(KEY, None, "")


@pytest.mark.parametrize(
    ("peer", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        (" 192.0.2.7 ", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:DB8:1:2::1", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("unknown", ""),
        ("192.0.2.7:443", ""),
        ("192.0.2.7, 192.0.2.8", ""),
    ],
)
def test_an_address_counts_by_its_network(peer: str, network: str):
    assert network_of(peer) == network


@pytest.mark.parametrize(
    ("network", "site"),
    [
        ("192.0.2.7", ""),
        ("2001:db8:1:2::/64", "2001:db8:1::/48"),
        ("2001:db8:1:3::/64", "2001:db8:1::/48"),
        ("2001:db8:2:2::/64", "2001:db8:2::/48"),
        ("", ""),
    ],
)
def test_networks_of_one_ipv6_site_count_together(network: str, site: str):
    assert site_of(network) == site
    scopes = set(_keys(Subject(ACCOUNT, None, network)))
    assert (Scope.SITE in scopes) is bool(site)


def test_the_rules_are_those_of_the_documents():
    table = {
        s.name: (r.free, r.lock_first_ms // 1000, r.lock_ms_max // 1000, r.leak_ms // 1000)
        for s, r in RULES.items()
    }
    assert table == {
        "DEVICE": (10, 30, 3600, 0),
        "SESSION": (10, 30, 3600, 0),
        "STRANGERS": (5, 30, 900, 0),
        "ADDRESS": (100, 30, 900, 300),
        "SITE": (1000, 30, 900, 30),
    }
    assert set(RULES) == set(Scope)


def test_strangers_who_wait_until_their_counter_is_forgotten_get_fewer_than_100_tries_a_day():
    """NIST SP 800-63B allows 100 tries."""
    free_tries_without_a_lock = RULES[Scope.STRANGERS].free - 1
    assert free_tries_without_a_lock * FORGET_S / FORGET_STRANGERS_S <= 100


def test_an_address_gets_at_most_300_tries_a_day():
    assert 24 * 3600 / ADDRESS_LEAK_S <= 300
