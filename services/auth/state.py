"""A customer's login: its steps, and the values that the service works with. Pure."""

import uuid
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from services.kernel.state_table import StateTable, Transition


class Step(Enum):
    """What a login session waits for."""

    AWAITING_OTP = "AWAITING_OTP"
    AWAITING_BIOMETRIC = "AWAITING_BIOMETRIC"
    COMPLETING = "COMPLETING"
    """All factors are right; the tokens are being fetched."""
    REPLACING = "REPLACING"
    """The code of a reset is right; the password is being replaced."""
    COMPLETED = "COMPLETED"
    ENDED = "ENDED"


class Progress(Enum):
    """What moves a login session."""

    OTP_RIGHT = "the one-time code is right"
    BIOMETRIC_RIGHT = "the biometric feature is right"
    TOKENS_FETCHED = "the tokens were fetched and stored"
    TOKENS_REFUSED = "the tokens could not be fetched; the biometric step may be repeated"
    TRIES_SPENT = "too many wrong codes or features"
    RESET_CODE_RIGHT = "the code of a reset is right"
    PASSWORD_REPLACED = "the new password is stored"  # noqa: S105
    PASSWORD_REFUSED = "the new password could not be stored; the code may be repeated"  # noqa: S105


LOGIN: StateTable[Step, Progress, Transition[Step]] = StateTable(
    initial=Step.AWAITING_OTP,
    rows={
        (Step.AWAITING_OTP, Progress.OTP_RIGHT): Transition(Step.AWAITING_BIOMETRIC),
        (Step.AWAITING_OTP, Progress.TRIES_SPENT): Transition(Step.ENDED),
        (Step.AWAITING_OTP, Progress.RESET_CODE_RIGHT): Transition(Step.REPLACING),
        (Step.REPLACING, Progress.PASSWORD_REPLACED): Transition(Step.COMPLETED),
        (Step.REPLACING, Progress.PASSWORD_REFUSED): Transition(Step.AWAITING_OTP),
        (Step.AWAITING_BIOMETRIC, Progress.BIOMETRIC_RIGHT): Transition(Step.COMPLETING),
        (Step.AWAITING_BIOMETRIC, Progress.TRIES_SPENT): Transition(Step.ENDED),
        (Step.COMPLETING, Progress.TOKENS_FETCHED): Transition(Step.COMPLETED),
        (Step.COMPLETING, Progress.TOKENS_REFUSED): Transition(Step.AWAITING_BIOMETRIC),
    },
)
"""The session is deleted when it is COMPLETED or ENDED."""


class Purpose(Enum):
    """Why a login session exists. A code of one purpose is never right for another."""

    LOGIN = "LOGIN"
    STEP_UP = "STEP_UP"
    RESET = "RESET"


class OtpMethod(Enum):
    """The names of bp.auth.v1.OtpMethod."""

    SMS = "SMS"
    TOTP = "TOTP"
    RECOVERY_CODE = "RECOVERY_CODE"


class BiometricMethod(Enum):
    """The names of bp.auth.v1.BiometricMethod."""

    DEVICE_KEY = "DEVICE_KEY"
    FACE = "FACE"


class Factor(Enum):
    """The names of bp.auth.v1.Factor."""

    PASSWORD = "PASSWORD"  # noqa: S105
    SMS_CODE = "SMS_CODE"
    AUTHENTICATOR_APP = "AUTHENTICATOR_APP"
    RECOVERY_CODES = "RECOVERY_CODES"
    DEVICE_KEYS = "DEVICE_KEYS"
    FACE_PICTURE = "FACE_PICTURE"
    REFRESH_TOKEN = "REFRESH_TOKEN"  # noqa: S105


class EndCause(Enum):
    """Why a session ended before its time; the causes of bp.auth.v1.SessionRevoked."""

    LOGOUT = "LOGOUT"
    REVOKED = "REVOKED"
    DEVICE_REMOVED = "DEVICE_REMOVED"
    PASSWORD_CHANGED = "PASSWORD_CHANGED"  # noqa: S105
    GRANT_ENDED = "GRANT_ENDED"
    TOKEN_REUSED = "TOKEN_REUSED"  # noqa: S105
    OPERATOR = "OPERATOR"


DEFAULT_DEVICE_NAME = "Device"
"""The name of a device whose app gave none."""


@dataclass(frozen=True, slots=True)
class User:
    """One row of `users`: a customer who may log in."""

    customer_id: uuid.UUID
    email_index: bytes
    """Keyed digest of the canonical e-mail address, 32 bytes."""
    phone_index: bytes
    """Keyed digest of the telephone number, 32 bytes."""
    phone_sealed: str
    """The telephone number in E.164, encrypted by OpenBao."""
    locale: str
    """BCP 47 language of text messages, "es" or "en"."""
    password_hash: bytes
    """bcrypt of the keyed pre-hash."""
    login_epoch: int
    """Grows when the password changes and when an operator ends the sessions."""
    has_totp: bool
    """True when an authenticator app is confirmed."""


@dataclass(frozen=True, slots=True)
class ShownDevice:
    """What a customer sees of a device."""

    device_id: uuid.UUID
    device_name: str
    has_key: bool
    create_time: datetime
    last_login_time: datetime


@dataclass(frozen=True, slots=True)
class Device:
    """A device with which a customer completed a login."""

    device_id: uuid.UUID
    customer_id: uuid.UUID
    device_name: str
    token_hash: bytes
    """SHA-256 of the token that the device keeps, 32 bytes."""
    credential_id: bytes
    """Id of the device's key; b"" without a key."""
    public_key: bytes
    """The key in COSE form; b"" without a key."""
    sign_count: int
    """The key's counter at its last signature; 0 for a key without a counter."""
    create_time: datetime
    last_login_time: datetime

    def shown(self) -> ShownDevice:
        """Return what the customer sees of it."""
        return ShownDevice(
            device_id=self.device_id,
            device_name=self.device_name,
            has_key=bool(self.credential_id),
            create_time=self.create_time,
            last_login_time=self.last_login_time,
        )


@dataclass(frozen=True, slots=True)
class KeyUse:
    """A right signature of a device's key."""

    device_id: uuid.UUID
    count_before: int
    """The key's counter that the signature was compared with."""
    count: int
    """The signature's own counter; 0 for a key without a counter."""
    is_synced: bool = False
    """Whether the key may be copied to other devices of its owner, as a passkey in a cloud is."""


@dataclass(frozen=True, slots=True)
class Session:
    """A session of a customer on a device, which the tokens name as `sid`."""

    session_id: uuid.UUID
    customer_id: uuid.UUID
    device_id: uuid.UUID
    device_name: str
    create_time: datetime
    refresh_time: datetime
    expire_time: datetime


@dataclass(frozen=True, slots=True)
class LoginSession:
    """A login, a step-up or a reset in progress, as Valkey holds it for five minutes."""

    purpose: Purpose
    step: Step
    customer_id: uuid.UUID | None
    """None for the reset of an unknown address, which no code can complete."""
    expire_time: datetime
    account: bytes = b""
    """Only for a reset: the blind index of the e-mail address, known or not, 32 bytes."""
    login_epoch: int = 0
    """The customer's epoch when the login began. It completes only in the same epoch."""
    methods: tuple[OtpMethod, ...] = ()
    """The second factors that the customer has; the first one is the default."""
    device_id: uuid.UUID | None = None
    """The known device that logs in or resets; None for a new one."""
    session_id: uuid.UUID | None = None
    """The customer's session, only for a step-up."""
    factors: tuple[Factor, ...] = ()
    """The factors that were right so far, in their order."""
    biometric_method: BiometricMethod | None = None
    challenge: bytes = b""
    """What the device's key must sign; b"" for a face."""
    liveness_session_id: str = ""
    """The liveness check that the bank began; "" for a device key, or before it is begun."""
    liveness_begin_time: datetime | None = None
    """When a call began to ask for the liveness check; None when no call does."""
    liveness_checks: int = 0
    """How many liveness checks were begun; more than one only after calls that hung up."""
    face_checks: int = 0
    """How many pictures were sent to the face service."""
    otp_digest: bytes = b""
    """Keyed digest of the code that was right, for a request that is repeated."""
    owner: bytes = b""
    """While the session is COMPLETING or REPLACING: random bytes of the call that took it to this
    step. Only that call may take it back."""
    sends: int = 0
    """How many codes were sent."""
    next_send_time: datetime | None = None
    """When the next code can be sent."""


@dataclass(frozen=True, slots=True)
class TokenPair:
    """The tokens of a session."""

    access_token: str
    refresh_token: str
    expires_in_s: int

    def __repr__(self) -> str:
        return f"TokenPair(expires_in_s={self.expires_in_s})"
