"""How many tries the bank allows before it looks at a factor, and whose tries count together. Pure.

A known device has a counter of its own, so wrong tries of strangers never delay the owner. All
unknown devices share one counter for an account, so a new session gives no new tries. Each
address has a counter for all accounts. counters.py holds the counters in Valkey.
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
SENDS_WINDOW_S = 24 * 3600
RESEND_WAIT_S_MAX = 300
IPV6_NETWORK_BITS = 64
"""A home gets at least this network, so single IPv6 addresses say nothing about their owner."""
TRIED_PURPOSES = (Purpose.LOGIN, Purpose.RESET)
"""The purposes whose tries count apart; a step-up counts as a login."""
_DIGEST_BYTES = 12
"""96 bits: two of a million counters share a key with a probability below 10^-16."""


class Scope(Enum):
    """Whose tries count together; the scopes of bp.auth.v1.LoginLocked."""

    DEVICE = "DEVICE"
    """One known device of an account, for one factor."""
    STRANGERS = "STRANGERS"
    """All unknown devices of an account, for one factor."""
    ADDRESS = "ADDRESS"
    """One network address, for all accounts and factors."""


@dataclass(frozen=True, slots=True)
class Rule:
    """The limits of a scope."""

    free: int
    """How many wrong tries are possible without a delay."""
    lock_first_ms: int
    """The delay after the last free try. Each further wrong try doubles it."""
    lock_ms_max: int
    """The longest delay."""


RULES: dict[Scope, Rule] = {
    Scope.DEVICE: Rule(free=10, lock_first_ms=30_000, lock_ms_max=3_600_000),
    Scope.STRANGERS: Rule(free=5, lock_first_ms=30_000, lock_ms_max=900_000),
    Scope.ADDRESS: Rule(free=100, lock_first_ms=30_000, lock_ms_max=900_000),
}
"""Strangers get about 100 tries a day for an account and factor, the number that NIST SP 800-63B
allows. An owner with a new device waits at most 15 minutes for a try."""


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

    A known device has one counter only. Its address does not count, because an attacker may share
    it with the owner. Keys are digests under `digest_key`: they show no address and no account.
    """
    if subject.device_id is not None:
        return (_device_counter(digest_key, subject.device_id, factor, subject.purpose),)
    strangers = _strangers_counter(digest_key, subject.account, factor, subject.purpose)
    if not subject.address:
        return (strangers,)
    return (strangers, _counter(digest_key, Scope.ADDRESS, subject.address.encode()))


def counters_of_account(
    digest_key: bytes, account: bytes, device_ids: Iterable[uuid.UUID]
) -> list[Counter]:
    """Return the counters of an account and its devices for all factors, without addresses."""
    kinds = [(factor, purpose) for factor in Factor for purpose in TRIED_PURPOSES]
    strangers = [_strangers_counter(digest_key, account, *kind) for kind in kinds]
    devices = [_device_counter(digest_key, each, *kind) for each in device_ids for kind in kinds]
    return strangers + devices


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


def resend_wait_s(first_s: int, sends: int) -> int:
    """Return how long a session waits after its `sends`-th code: `first_s`, doubled for each."""
    return min(first_s << min(max(sends - 1, 0), 32), RESEND_WAIT_S_MAX)


def number_key(phone_index: bytes, purpose: Purpose, *, is_known_device: bool) -> str:
    """Return the key of the counter of codes to one number.

    Each purpose has a counter, and so do known devices. Otherwise a stranger who asks for resets
    of the password could use up the codes that the owner needs to log in.
    """
    caller = "known" if is_known_device else "stranger"
    return f"sends:{purpose.value.lower()}:{caller}:{_short(phone_index)}"


def prefix_key(prefix_digest: bytes) -> str:
    """Return the key of the counter of codes to all numbers with one prefix."""
    return f"sends:prefix:{_short(prefix_digest)}"


def _device_counter(
    digest_key: bytes, device_id: uuid.UUID, factor: Factor, purpose: Purpose
) -> Counter:
    word = _word(purpose)
    return _counter(digest_key, Scope.DEVICE, *word, factor.value.encode(), device_id.bytes)


def _strangers_counter(
    digest_key: bytes, account: bytes, factor: Factor, purpose: Purpose
) -> Counter:
    word = _word(purpose)
    return _counter(digest_key, Scope.STRANGERS, *word, factor.value.encode(), account)


def _word(purpose: Purpose) -> tuple[bytes, ...]:
    """Return the word of a purpose in a key; none for a login or step-up."""
    return (purpose.value.encode(),) if purpose is Purpose.RESET else ()


def _counter(digest_key: bytes, scope: Scope, *parts: bytes) -> Counter:
    message = b"\0".join((scope.value.encode(), *parts))
    digest = _short(hmac.digest(digest_key, message, "sha256"))
    return Counter(f"tries:{scope.value[0].lower()}:{digest}", scope)


def _short(digest: bytes) -> str:
    return urlsafe_b64encode(digest[:_DIGEST_BYTES]).decode("ascii")
