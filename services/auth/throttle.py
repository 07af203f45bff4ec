"""How many tries the bank allows before it looks at a factor, and whose tries count together. Pure.

A known device has a counter of its own, so wrong tries of strangers never delay the owner. All
unknown devices share one counter for an account, so a new login session gives no new tries. Calls
with an access token count for their session, so a stolen token locks no login. Each address has a
counter for all accounts. counters.py holds the counters in Valkey.
"""

import hmac
import ipaddress
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from services.auth.state import Factor, Purpose

FORGET_S = 24 * 3600
"""A counter without a try for this long is forgotten."""
FORGET_STRANGERS_S = 3600
"""A counter of strangers that has free tries left is forgotten after this time. Any caller can
make such a counter for an invented address, and Valkey's memory is limited."""
ADDRESS_LEAK_S = 300
"""An address gets one try back in this time. So it gets about 300 tries a day, and no more than 12
wrong tries an hour from all its customers never lock it."""
SITE_LEAK_S = 30
"""An IPv6 /48 network gets one try back in this time."""
IPV6_NETWORK_BITS = 64
"""A home gets at least this network, so single IPv6 addresses say nothing about their owner."""
IPV6_SITE_BITS = 48
"""A company or an attacker easily gets this network, with 65,536 networks of homes."""
_DIGEST_BYTES = 12
"""96 bits: two of a million counters share a key with a probability below 10^-16."""


class Scope(Enum):
    """Whose tries count together; the scopes of bp.auth.v1.LoginLocked."""

    DEVICE = "DEVICE"
    """Logins of one known device of an account, for one factor."""
    SESSION = "SESSION"
    """Calls with the access tokens of one session, for one factor."""
    STRANGERS = "STRANGERS"
    """All unknown devices of an account, for one factor."""
    ADDRESS = "ADDRESS"
    """One network address, for all accounts and factors."""
    SITE = "SITE"
    """The IPv6 /48 network of an address; its lock is reported as one of ADDRESS."""


_LETTERS = {
    Scope.DEVICE: "d",
    Scope.SESSION: "t",
    Scope.STRANGERS: "s",
    Scope.ADDRESS: "a",
    Scope.SITE: "n",
}
"""The letters of the keys; "t" is for the access token, and "n" for the network."""


class Counted(Enum):
    """What a counter counts; the first words of its key. Each has counters of its own."""

    TRIES = "tries"
    """Tries of logins and step-ups; at a network address also those of resets."""
    RESET_TRIES = "tries:reset"
    """Tries of the code of a reset."""
    RESETS = "resets"
    """Resets that begin."""


@dataclass(frozen=True, slots=True)
class Rule:
    """The limits of a scope."""

    free: int
    """How many wrong tries are possible without a delay."""
    lock_first_ms: int
    """The delay after the last free try. Each further wrong try doubles it."""
    lock_ms_max: int
    """The longest delay."""
    leak_ms: int = 0
    """The time after which one try is forgotten; 0: none is forgotten before FORGET_S. The counter
    is deleted when none is left: any caller can make one for each of many addresses."""
    free_life_ms: int = FORGET_S * 1000
    """How long a counter that has free tries left lives after its last try."""


RULES: dict[Scope, Rule] = {
    Scope.DEVICE: Rule(free=10, lock_first_ms=30_000, lock_ms_max=3_600_000),
    Scope.SESSION: Rule(free=10, lock_first_ms=30_000, lock_ms_max=3_600_000),
    Scope.STRANGERS: Rule(
        free=5,
        lock_first_ms=30_000,
        lock_ms_max=900_000,
        free_life_ms=FORGET_STRANGERS_S * 1000,
    ),
    Scope.ADDRESS: Rule(
        free=100, lock_first_ms=30_000, lock_ms_max=900_000, leak_ms=ADDRESS_LEAK_S * 1000
    ),
    Scope.SITE: Rule(
        free=1000, lock_first_ms=30_000, lock_ms_max=900_000, leak_ms=SITE_LEAK_S * 1000
    ),
}
"""Strangers get about 100 tries a day for an account and factor, the number that NIST SP 800-63B
allows: four in each hour, or one after each lock. A lock of strangers lasts at most 15 minutes.
Customers who mistype behind a shared address never make it right for each other, so only the
counters of addresses leak."""


@dataclass(frozen=True, slots=True)
class Subject:
    """On whose account a caller tries a factor, and from where."""

    account: bytes
    """The blind index of the e-mail address, or a digest of the customer's id."""
    device_id: uuid.UUID | None
    """A device that completed a login of this account and proved it now; None for any other."""
    address: str
    """The result of `network_of`; "" when it is unknown."""
    purpose: Purpose = Purpose.LOGIN
    """RESET for the code of a reset. Any caller can begin a reset of a known address, so its wrong
    codes must not delay a login."""
    session_id: uuid.UUID | None = None
    """The session of the call's access token; None for a login."""


@dataclass(frozen=True, slots=True)
class Lock:
    """A delay that begins now."""

    scope: Scope
    lock_s: int


@dataclass(frozen=True, slots=True)
class WrongTry:
    """What the bank records about a wrong try."""

    lock: Lock | None
    """The delay that began and was not reported yet."""
    refused_before: int
    """How many tries were refused unseen since the last report."""


@dataclass(frozen=True, slots=True)
class Counter:
    """One counter: its key in Valkey and its scope."""

    key: str
    scope: Scope


def counters_of(digest_key: bytes, subject: Subject, factor: Factor) -> tuple[Counter, ...]:
    """Return the counters that decide about a try, the subject's own one first.

    A session and a known device have one counter only. The address does not count for them, because
    an attacker may share it with the owner. Keys are digests under `digest_key`: they show no
    address and no account.
    """
    if subject.session_id is not None:
        return (_session_counter(digest_key, subject.session_id, factor),)
    counted = Counted.RESET_TRIES if subject.purpose is Purpose.RESET else Counted.TRIES
    if subject.device_id is not None:
        return (_device_counter(digest_key, counted, subject.device_id, factor),)
    strangers = _strangers_counter(digest_key, counted, subject.account, factor)
    return (strangers, *_network_counters(digest_key, Counted.TRIES, subject.address))


def counters_of_reset(
    digest_key: bytes, device_id: uuid.UUID | None, address: str
) -> tuple[Counter, ...]:
    """Return the counters that decide whether a caller may begin a reset of a password.

    The rules are those of tries, but the counters are apart: resets of strangers must not delay
    the logins of customers who share their address. `device_id`: as in Subject.
    """
    if device_id is not None:
        return (_counter(digest_key, Counted.RESETS, Scope.DEVICE, device_id.bytes),)
    return _network_counters(digest_key, Counted.RESETS, address)


def counters_of_account(
    digest_key: bytes, account: bytes, device_ids: Iterable[uuid.UUID]
) -> list[Counter]:
    """Return the counters of an account's logins and resets for all factors, without addresses.

    The counters of resets that began on the devices are included. A session is not included: after
    a new login, the customer has a new one.
    """
    tried = (Counted.TRIES, Counted.RESET_TRIES)
    kinds = [(counted, factor) for counted in tried for factor in Factor]
    found = [_strangers_counter(digest_key, counted, account, factor) for counted, factor in kinds]
    for each in device_ids:
        found += [_device_counter(digest_key, counted, each, factor) for counted, factor in kinds]
        found += counters_of_reset(digest_key, each, "")
    return found


def network_of(peer: str) -> str:
    """Return the IPv4 address or the IPv6 /64 network of a peer, "" when it is no address.

    An IPv4 address that is written as IPv6 (::ffff:192.0.2.1) counts as IPv4.
    """
    try:
        address = ipaddress.ip_address(peer.strip().partition("%")[0])
    except ValueError:
        return ""
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, IPV6_NETWORK_BITS), strict=False))


def site_of(network: str) -> str:
    """Return the IPv6 /48 network of a result of `network_of`, "" for IPv4 and for ""."""
    if ":" not in network:
        return ""
    return str(ipaddress.ip_network(network).supernet(new_prefix=IPV6_SITE_BITS))


def short(digest: bytes) -> str:
    """Return the part of a keyed digest that stands for it in the name of a key."""
    return urlsafe_b64encode(digest[:_DIGEST_BYTES]).decode("ascii")


def _network_counters(digest_key: bytes, counted: Counted, address: str) -> tuple[Counter, ...]:
    """Return the counters of an address and of its IPv6 site; none for an unknown address."""
    networks = {Scope.ADDRESS: address, Scope.SITE: site_of(address)}
    return tuple(
        _counter(digest_key, counted, scope, network.encode())
        for scope, network in networks.items()
        if network
    )


def _session_counter(digest_key: bytes, session_id: uuid.UUID, factor: Factor) -> Counter:
    parts = (factor.value.encode(), session_id.bytes)
    return _counter(digest_key, Counted.TRIES, Scope.SESSION, *parts)


def _device_counter(
    digest_key: bytes, counted: Counted, device_id: uuid.UUID, factor: Factor
) -> Counter:
    parts = (factor.value.encode(), device_id.bytes)
    return _counter(digest_key, counted, Scope.DEVICE, *parts)


def _strangers_counter(
    digest_key: bytes, counted: Counted, account: bytes, factor: Factor
) -> Counter:
    return _counter(digest_key, counted, Scope.STRANGERS, factor.value.encode(), account)


def _counter(digest_key: bytes, counted: Counted, scope: Scope, *parts: bytes) -> Counter:
    message = b"\0".join((scope.value.encode(), *parts))
    digest = short(hmac.digest(digest_key, message, "sha256"))
    return Counter(f"{counted.value}:{_LETTERS[scope]}:{digest}", scope)
