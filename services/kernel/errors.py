"""The bank's errors: one class for each cause, with a reason from the contract's enum.

A class's docstring is the message that the caller reads: what happened, then what to do. The
server's boundary translates an error to google.rpc.Status, once.
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
    RESOURCE_EXHAUSTED = 8
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
    """The request could not be processed."""

    domain: ClassVar[str] = "bp.policy.v1"
    reason: ClassVar[str] = "INTERNAL_ERROR"
    code: ClassVar[Code] = Code.INTERNAL
    retry_after_s: int | None = None
    """After how many seconds a retry makes sense; an error may set its own value."""

    def __init__(
        self, *violations: FieldViolation, retry_after_s: int | None = None, **metadata: str
    ) -> None:
        """`retry_after_s` replaces the time of the class."""
        self.violations = violations
        self.metadata = metadata
        if retry_after_s is not None:
            self.retry_after_s = retry_after_s
        super().__init__(self.message)

    @property
    def message(self) -> str:
        """The message to the caller: the class's docstring on one line."""
        return " ".join((self.__class__.__doc__ or "").split())


class InvalidArgument(BankError):
    """A field of the request is invalid; the details name it. Correct it and send a new request."""

    reason = "INVALID_ARGUMENT"
    code = Code.INVALID_ARGUMENT


class Unauthenticated(BankError):
    """The request has no valid credentials. Log in again and retry."""

    reason = "UNAUTHENTICATED"
    code = Code.UNAUTHENTICATED


class ScopeMissing(BankError):
    """The token lacks a scope that this method requires.

    Request a token with the scopes that the details name.
    """

    reason = "SCOPE_MISSING"
    code = Code.PERMISSION_DENIED


class CallerForbidden(BankError):
    """The calling service may not call this method. Check its permissions."""

    reason = "CALLER_FORBIDDEN"
    code = Code.PERMISSION_DENIED


class IdempotencyKeyMissing(BankError):
    """The Idempotency-Key header is missing.

    Send a new value for each new request, and the same value when you retry.
    """

    reason = "IDEMPOTENCY_KEY_MISSING"
    code = Code.INVALID_ARGUMENT


class IdempotencyKeyInvalid(BankError):
    """The Idempotency-Key is not valid. Send 1 to 255 printable ASCII characters without spaces."""

    reason = "IDEMPOTENCY_KEY_INVALID"
    code = Code.INVALID_ARGUMENT


class IdempotencyKeyReused(BankError):
    """This Idempotency-Key was used for a different request.

    Use a new key for a new request.
    """

    reason = "IDEMPOTENCY_KEY_REUSED"
    code = Code.ALREADY_EXISTS


class RequestInProgress(BankError):
    """The first request with this Idempotency-Key is still in progress. Please retry shortly."""

    reason = "REQUEST_IN_PROGRESS"
    code = Code.ABORTED
    retry_after_s = 1


class AccountBusy(BankError):
    """Another transaction holds this account. Retry shortly with the same Idempotency-Key."""

    reason = "ACCOUNT_BUSY"
    code = Code.ABORTED
    retry_after_s = 1


class RateLimited(BankError):
    """The bank has too many requests at the moment. Retry after the given time."""

    reason = "RATE_LIMITED"
    code = Code.RESOURCE_EXHAUSTED
    retry_after_s = 1


class PageTokenInvalid(BankError):
    """The page token does not belong to this list and its filters. Start at the first page."""

    reason = "PAGE_TOKEN_INVALID"
    code = Code.INVALID_ARGUMENT


class DependencyUnavailable(BankError):
    """A bank service is temporarily unavailable. Nothing was lost; please retry shortly."""

    reason = "DEPENDENCY_UNAVAILABLE"
    code = Code.UNAVAILABLE
    retry_after_s = 2


class DeadlineExceeded(BankError):
    """The request took longer than its deadline.

    Please retry, with the same Idempotency-Key if it had one.
    """

    reason = "DEADLINE_EXCEEDED"
    code = Code.DEADLINE_EXCEEDED
    retry_after_s = 1


class InternalError(BankError):
    """The request failed because of an internal error. Contact support with the request id."""


class StepUpRequired(BankError):
    """This request needs a recent second factor.

    Start it with POST /v1/auth/step-up, then retry with the new token.
    """

    reason = "STEP_UP_REQUIRED"
    code = Code.UNAUTHENTICATED
