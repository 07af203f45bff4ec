"""How many text messages and face checks a caller gets, because partners charge for each. Pure.

Strangers have counters apart from those of known devices, so they cannot use up what the owner
needs. counters.py holds the counters in Valkey.
"""

import uuid
from dataclasses import dataclass
from enum import Enum

from services.auth.state import Purpose
from services.auth.throttle import short

WINDOW_S = 24 * 3600
"""The window in which text messages and face checks are counted. It begins with the first one."""
RESEND_WAIT_S_MAX = 300


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
    device_id: uuid.UUID | None = None
    """A device that completed a login of the account and asks for the code; None for any other."""
    session_id: uuid.UUID | None = None
    """The session of the access token that asks for the code; None for a login or a reset."""


def number_key(to: Recipient) -> str:
    """Return the key of the counter of codes to one number, for all known devices or strangers.

    Each purpose has a counter, and so do known devices. Otherwise a stranger who asks for resets
    of the password could use up the codes that the owner needs to log in.
    """
    return f"sends:{_kind(to)}:{short(to.phone_index)}"


def prefix_key(to: Recipient) -> str:
    """Return the key of the counter of codes to all numbers with one prefix.

    It is split like the counter of a number, so an attacker who asks for codes to a range of
    numbers stops no login with a known device.
    """
    return f"sends:prefix:{_kind(to)}:{short(to.prefix_digest)}"


RESETS_KEY = "sends:total:reset:stranger"
"""The counter of codes for all resets that strangers begin."""


@dataclass(frozen=True, slots=True)
class SendLimits:
    """The largest numbers of codes in a day."""

    number: int
    """To one number for each purpose: for all strangers, one known device, or one session."""
    known: int
    """To one number for each purpose, for all known devices and sessions together."""
    prefix: int
    known_prefix: int
    """To all numbers with one prefix, for strangers and for known devices."""
    resets: int
    """For all resets that strangers begin, because each costs the bank a message."""


def send_limits_of(to: Recipient, limits: SendLimits) -> dict[str, int]:
    """Return the counters of a code and their limits: key -> largest number of codes in a day.

    A known device has a counter of its own, and so has the session of a step-up. So a stolen device
    token or access token uses up no codes of the owner's other devices and of the next session. All
    of them together have a larger limit, because each login may give a new one.
    """
    own = to.session_id or to.device_id
    if own is not None:
        return {
            f"{number_key(to)}:{own.hex}": limits.number,
            number_key(to): limits.known,
            prefix_key(to): limits.known_prefix,
        }
    number = {number_key(to): limits.number, prefix_key(to): limits.prefix}
    return {**number, RESETS_KEY: limits.resets} if to.purpose is Purpose.RESET else number


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
    return f"{to.purpose.value.lower()}:{_caller(to.device_id is not None)}"


def _caller(is_known_device: bool) -> str:
    return "known" if is_known_device else "stranger"
