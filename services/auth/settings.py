"""Settings of the auth service."""

from pathlib import Path

from pydantic import Field

from services.auth.breached import SHIPPED
from services.chassis.settings import ServiceSettings


class AuthSettings(ServiceSettings):
    """The settings of one auth process; environment variables have the prefix BP_."""

    service: str = "auth"
    bcrypt_cost: int = Field(default=12, ge=4, le=16)
    """Each step doubles the work for one password. Older hashes are replaced at the next login."""
    hash_threads_max: int = Field(default=2, ge=1)
    """The largest number of passwords that are hashed at once; each takes one core that other work
    leaves free. One is hashed even when none is free."""
    hash_queue_max: int = Field(default=64, ge=1)
    """The largest number of passwords that wait for a process; later logins get RATE_LIMITED.
    Unknown devices fill at most three quarters, so known devices can log in during a storm."""
    hash_wait_s_max: float = 6.0
    """How long a password waits for its hash at most. A login that has waited longer, or would wait
    longer at the speed of the latest hashes, gets RATE_LIMITED. A login also computes its hash and
    waits up to five seconds each for OpenBao and the SMS gateway, so its deadline is 14 seconds
    longer."""
    breached_passwords_file: Path = SHIPPED
    """The list of passwords that became public; `bpctl auth breached` builds another one."""
    login_session_s: int = 300
    """How long a login session lasts (the design document's five minutes)."""
    otp_tries_max: int = 5
    """The largest number of tries of one code that was sent."""
    otp_resend_first_s: int = 30
    """Wait before a second code can be sent; it doubles with each further one."""
    otp_sends_per_number_max: int = 10
    """The largest number of codes that are sent to one telephone number a day, for each purpose:
    for all unknown devices together, for one known device, or for the step-ups of one session."""
    otp_known_sends_per_number_max: int = 30
    """The same for all known devices, and for the step-ups of all sessions, together."""
    otp_sends_per_prefix_max: int = 2_000
    """The largest number of codes a day to all numbers with the same first seven digits, for each
    purpose, without known devices. It stops an attacker who earns money with text messages to a
    range of numbers."""
    otp_known_sends_per_prefix_max: int = 20_000
    """The same for known devices, which strangers' codes do not delay."""
    otp_stranger_resets_max: int = 20_000
    """The largest number of codes a day for all resets that unknown devices begin; the bank pays
    for each. At 70 % of it, auth logs the error `sends.many_resets`."""
    session_days: int = 30
    """How long a session lasts at most (the design document's 30 days)."""
    refresh_grace_s: int = 30
    """How long a replaced refresh token returns the tokens that replaced it."""
    sessions_per_customer_max: int = 20
    """The largest number of a customer's sessions. A further login ends the oldest one."""
    web_domain: str = "app.bp.example"
    """The domain in text messages with a code, and the relying party of device keys."""
    web_origins: tuple[str, ...] = ("https://app.bp.example",)
    """The origins that device keys may sign for."""
    face_check_s_max: float = 25.0
    """How long a whole face match may take, or the begin of a liveness check, with the SDK's
    retries. The deadline of the biometric step leaves time for OpenBao before it and for the tokens
    after it."""
    rekognition_timeout_s: float = 10.0
    """How long one call to Rekognition may take (the design document's ten seconds)."""
    rekognition_threads_max: int = 8
    """The largest number of calls to Rekognition at once."""
