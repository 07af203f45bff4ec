"""What the handlers return, for the mapping to messages of the contract. Values only."""

from dataclasses import dataclass, field

from services.auth.state import LoginSession, ShownDevice, TokenPair


@dataclass(frozen=True, slots=True)
class Started:
    """A login session that waits for its second factor."""

    login_session_id: str
    """A secret until the login is complete."""
    session: LoginSession
    phone_hint: str
    """The last two digits of the telephone that got the code; "" when none was sent."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the biometric step needs from the app."""

    session: LoginSession
    credential_ids: tuple[bytes, ...]
    """The keys that may sign; empty for a face."""


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """A completed login or step-up."""

    pair: TokenPair
    device: ShownDevice
    device_token: str
    """The new device's secret; "" on a known device."""

    def __repr__(self) -> str:
        return f"LoggedIn(device_id={self.device.device_id})"


@dataclass(frozen=True, slots=True)
class Enrolment:
    """The secret of an authenticator app, in three forms."""

    secret: str = field(repr=False)
    otpauth_uri: str = field(repr=False)
    qr_svg: str = field(repr=False)
