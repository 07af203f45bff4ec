"""The root of the bank's errors: a cause with a reason from the contract's enum.

A subclass names one cause. Its docstring is the message to the caller, remedy included; raised
once, it is translated once, at the server's boundary, to google.rpc.Status.
"""

from dataclasses import dataclass
from enum import Enum
from typing import ClassVar


class Code(Enum):
    """The google.rpc.Code of an error, by name."""

    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    FAILED_PRECONDITION = 9
    ABORTED = 10
    INTERNAL = 13
    UNAVAILABLE = 14
    UNAUTHENTICATED = 16


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One field of a request and what is wrong with it."""

    field: str
    description: str


class BankError(Exception):
    """The request could not be served."""

    domain: ClassVar[str] = "bp.policy.v1"
    reason: ClassVar[str] = "INTERNAL_ERROR"
    code: ClassVar[Code] = Code.INTERNAL
    retry_after_s: ClassVar[int | None] = None

    def __init__(self, *violations: FieldViolation, **metadata: str) -> None:
        self.violations = violations
        self.metadata = metadata
        super().__init__(self.message)

    @property
    def message(self) -> str:
        """What the caller reads: the class's docstring on one line."""
        return " ".join((self.__class__.__doc__ or "").split())


class InvalidArgument(BankError):
    """A field of the request breaks its rule; the details name it. Correct it and try again."""

    reason = "INVALID_ARGUMENT"
    code = Code.INVALID_ARGUMENT


class Unauthenticated(BankError):
    """The call carries no valid identity. Log in again and repeat it."""

    reason = "UNAUTHENTICATED"
    code = Code.UNAUTHENTICATED


class ScopeMissing(BankError):
    """The token lacks a scope that this method wants. Ask for a token with it."""

    reason = "SCOPE_MISSING"
    code = Code.PERMISSION_DENIED


class CallerForbidden(BankError):
    """The calling service may not call this method; its policy in the contract lists who may."""

    reason = "CALLER_FORBIDDEN"
    code = Code.PERMISSION_DENIED


class IdempotencyKeyMissing(BankError):
    """The header Idempotency-Key is missing. Send one value for each intended transfer."""

    reason = "IDEMPOTENCY_KEY_MISSING"
    code = Code.INVALID_ARGUMENT


class IdempotencyKeyInvalid(BankError):
    """The Idempotency-Key must be 1 to 255 printable ASCII characters. Send another one."""

    reason = "IDEMPOTENCY_KEY_INVALID"
    code = Code.INVALID_ARGUMENT


class IdempotencyKeyReused(BankError):
    """This Idempotency-Key belongs to a request with another payload. Send a new key."""

    reason = "IDEMPOTENCY_KEY_REUSED"
    code = Code.ALREADY_EXISTS


class RequestInProgress(BankError):
    """The first request with this key is still being answered. Repeat this one shortly."""

    reason = "REQUEST_IN_PROGRESS"
    code = Code.ABORTED
    retry_after_s = 1


class PageTokenInvalid(BankError):
    """The page token is not one that this list gave for these filters. Begin at the first page."""

    reason = "PAGE_TOKEN_INVALID"
    code = Code.INVALID_ARGUMENT


class DependencyUnavailable(BankError):
    """A part of the bank cannot be reached now. Nothing is lost; repeat the call shortly."""

    reason = "DEPENDENCY_UNAVAILABLE"
    code = Code.UNAVAILABLE
    retry_after_s = 2


class DeadlineExceeded(BankError):
    """The call took longer than its deadline. Repeat it with the same Idempotency-Key."""

    reason = "DEADLINE_EXCEEDED"
    code = Code.DEADLINE_EXCEEDED
    retry_after_s = 1


class InternalError(BankError):
    """The bank has a defect here. Support finds the cause by the request id."""
