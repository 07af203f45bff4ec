"""What the handlers of the auth service need."""

from dataclasses import dataclass

from services.auth.answers import Answers
from services.auth.background import Background
from services.auth.breached import BreachedPasswords
from services.auth.challenges import Challenges
from services.auth.codes import Codes
from services.auth.counters import FaceChecks, Sends, Tries
from services.auth.faces import FaceMatch
from services.auth.families import Families
from services.auth.grants import EndedGrants
from services.auth.login_sessions import LoginSessions
from services.auth.partners.oauth import TokenProvider
from services.auth.partners.sms import SmsGateway
from services.auth.password_pool import PasswordPool
from services.auth.revocations_out import Revocations
from services.auth.sealing import Sealer
from services.auth.settings import AuthSettings
from services.auth.store import Store
from services.chassis.page_tokens import PageTokens


@dataclass(frozen=True, slots=True)
class Keys:
    """Auth's own secrets from OpenBao."""

    password_key: bytes
    """Keys the pre-hash of passwords."""
    code_key: bytes
    """Keys the digests of one-time codes and recovery codes."""

    def __repr__(self) -> str:
        return "Keys()"


@dataclass(frozen=True, slots=True)
class Dependencies:
    """The dependencies of the handlers."""

    settings: AuthSettings
    store: Store
    keys: Keys
    sealer: Sealer
    passwords: PasswordPool
    breached: BreachedPasswords
    tries: Tries
    sends: Sends
    face_checks: FaceChecks
    sessions: LoginSessions
    answers: Answers
    codes: Codes
    challenges: Challenges
    families: Families
    ended_grants: EndedGrants
    revocations: Revocations
    provider: TokenProvider
    sms: SmsGateway
    faces: FaceMatch
    tokens: PageTokens
    background: Background
    """Work that the answer does not wait for, so that the time of the answer reveals nothing."""
    receipt_secrets: tuple[bytes, ...]
    """The secrets with which the SMS gateway signs its receipts."""
