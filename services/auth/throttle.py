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
WINDOW_S = 24 * 3600
"""The window in which text messages and face checks are counted. It begins with the first one."""
RESEND_WAIT_S_MAX = 300
IPV6_NETWORK_BITS = 64
"""A home gets at least this network, so single IPv6 addresses say nothing about their owner."""
IPV6_SITE_BITS = 48
"""A company or an attacker easily gets this network, with 65,536 networks of homes."""
TRIED_PURPOSES = (Purpose.LOGIN, Purpose.RESET)
"""The purposes whose tries count apart; a step-up counts as a login."""
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
_TRIES, _RESETS = "tries", "resets"
"""What a counter counts: tries of a factor, or resets that begin."""


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
    """The time after which one try is forgotten; 0: none is forgotten before FORGET_S."""
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
    if subject.device_id is not None:
        return (_device_counter(digest_key, subject.device_id, factor, subject.purpose),)
    strangers = _strangers_counter(digest_key, subject.account, factor, subject.purpose)
    return (strangers, *_network_counters(digest_key, subject.address))


def counters_of_reset(
    digest_key: bytes, device_id: uuid.UUID | None, address: str
) -> tuple[Counter, ...]:
    """Return the counters that decide whether a caller may begin a reset of a password.

    The rules are those of tries, but the counters are apart: resets of strangers must not delay
    the logins of customers who share their address. `device_id`: as in Subject.
    """
    if device_id is not None:
        return (_counter(digest_key, Scope.DEVICE, device_id.bytes, counted=_RESETS),)
    return _network_counters(digest_key, address, counted=_RESETS)


def counters_of_account(
    digest_key: bytes, account: bytes, device_ids: Iterable[uuid.UUID]
) -> list[Counter]:
    """Return the counters of an account's logins and resets for all factors, without addresses.

    The counters of resets that began on the devices are included. A session is not included: after
    a new login, the customer has a new one.
    """
    kinds = [(factor, purpose) for factor in Factor for purpose in TRIED_PURPOSES]
    strangers = [_strangers_counter(digest_key, account, *kind) for kind in kinds]
    known = [*device_ids]
    devices = [_device_counter(digest_key, each, *kind) for each in known for kind in kinds]
    begun = [counter for each in known for counter in counters_of_reset(digest_key, each, "")]
    return strangers + devices + begun


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


def resend_wait_s(first_s: int, sends: int) -> int:
    """Return how long a session waits after its `sends`-th code: `first_s`, doubled for each."""
    return min(first_s << min(max(sends - 1, 0), 32), RESEND_WAIT_S_MAX)


@dataclass(frozen=True, slots=True)
class Recipient:
    """To whom a code is sent, and on whose request."""

    phone_index: bytes
    """A keyed digest of the number."""
    prefix_digest: bytes
    """A keyed digest of phones.prefix."""
    purpose: Purpose
    is_known_device: bool
    """Whether a device that completed a login of the account asks for the code."""
    session_id: uuid.UUID | None = None
    """The session of the access token that asks for the code; None for a login or a reset."""


def number_key(to: Recipient) -> str:
    """Return the key of the counter of codes to one number.

    Each purpose has a counter, and so do known devices. Otherwise a stranger who asks for resets
    of the password could use up the codes that the owner needs to log in.
    """
    return f"sends:{_kind(to)}:{_short(to.phone_index)}"


def prefix_key(to: Recipient) -> str:
    """Return the key of the counter of codes to all numbers with one prefix.

    It is split like the counter of a number, so an attacker who asks for codes to a range of
    numbers stops no login with a known device.
    """
    return f"sends:prefix:{_kind(to)}:{_short(to.prefix_digest)}"


RESETS_KEY = "sends:total:reset:stranger"
"""The counter of codes for all resets that strangers begin."""


@dataclass(frozen=True, slots=True)
class SendLimits:
    """The largest numbers of codes in a day."""

    number: int
    """To one number for each purpose; step-ups of one session."""
    step_ups: int
    """To one number for the step-ups of all its sessions."""
    prefix: int
    known_prefix: int
    """To all numbers with one prefix, for strangers and for known devices."""
    resets: int
    """For all resets that strangers begin, because each costs the bank a message."""


def send_limits_of(to: Recipient, limits: SendLimits) -> dict[str, int]:
    """Return the counters of a code and their limits: key -> largest number of codes in a day.

    Step-ups have a counter for their session, so a stolen access token uses up no codes of the
    owner's next session. All sessions together have a larger limit, because each login gives a new
    session.
    """
    prefix = {prefix_key(to): limits.known_prefix if to.is_known_device else limits.prefix}
    if to.session_id is not None:
        session = f"{number_key(to)}:{to.session_id.hex}"
        return {session: limits.number, number_key(to): limits.step_ups, **prefix}
    number = {number_key(to): limits.number, **prefix}
    if to.purpose is Purpose.RESET and not to.is_known_device:
        return {**number, RESETS_KEY: limits.resets}
    return number


class FaceCheckKind(Enum):
    """What the bank pays AWS for."""

    PICTURE = "picture"
    """The comparisons of one picture."""
    LIVENESS = "liveness"
    """A liveness check."""


FACE_CHECKS_OF_DAY_MAX = {FaceCheckKind.PICTURE: 100, FaceCheckKind.LIVENESS: 30}
"""The largest numbers of a customer's checks in a day, for all login sessions of known devices
together, and for all of other devices. faces.py has the limits of one login session."""


@dataclass(frozen=True, slots=True)
class FaceCheck:
    """A use of the face service, which costs money."""

    kind: FaceCheckKind
    customer_id: uuid.UUID
    is_known_device: bool
    """Whether a device that completed a login of the account asks for it. Other callers have
    counters of their own, so that they cannot use up the owner's checks."""


def face_key(check: FaceCheck) -> str:
    """Return the key of the counter of a customer's face checks."""
    return f"faces:{check.kind.value}:{_caller(check.is_known_device)}:{check.customer_id.hex}"


def _kind(to: Recipient) -> str:
    return f"{to.purpose.value.lower()}:{_caller(to.is_known_device)}"


def _caller(is_known_device: bool) -> str:
    return "known" if is_known_device else "stranger"


def _network_counters(
    digest_key: bytes, address: str, *, counted: str = _TRIES
) -> tuple[Counter, ...]:
    """Return the counters of an address and of its IPv6 site; none for an unknown address."""
    networks = {Scope.ADDRESS: address, Scope.SITE: site_of(address)}
    return tuple(
        _counter(digest_key, scope, network.encode(), counted=counted)
        for scope, network in networks.items()
        if network
    )


def _session_counter(digest_key: bytes, session_id: uuid.UUID, factor: Factor) -> Counter:
    return _counter(digest_key, Scope.SESSION, factor.value.encode(), session_id.bytes)


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


def _counter(digest_key: bytes, scope: Scope, *parts: bytes, counted: str = _TRIES) -> Counter:
    message = b"\0".join((scope.value.encode(), *parts))
    digest = _short(hmac.digest(digest_key, message, "sha256"))
    return Counter(f"{counted}:{_LETTERS[scope]}:{digest}", scope)


def _short(digest: bytes) -> str:
    return urlsafe_b64encode(digest[:_DIGEST_BYTES]).decode("ascii")
