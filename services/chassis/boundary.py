"""The boundary of a gRPC server: it admits calls, validates requests and translates errors.

The server wraps every handler once, at its start, with the policy of its method. A handler can
rely on a known caller, the scopes, a valid Idempotency-Key and a request that follows the schema.
"""

import asyncio
import ipaddress
import re
import uuid
from collections.abc import Awaitable, Callable, Generator, Iterable
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, cast

import grpc
import grpc.aio
import structlog
from google.protobuf.message import DecodeError, Message

from services.chassis import status as statuses
from services.chassis.call_context import Call, answer_headers, current_call, service_account
from services.chassis.revocations import RevokedSessions
from services.chassis.step_up import require_for_method
from services.chassis.telemetry import bind_request
from services.chassis.unreachable import is_unreachable
from services.chassis.violations import violations_of
from services.contracts import Audience, MethodContract
from services.kernel import errors
from services.kernel.clock import utc_now
from services.kernel.identities import GATEWAY

Handler = Callable[[Any, grpc.aio.ServicerContext[Any, Any]], Awaitable[Any]]

_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")
_SESSION = re.compile(r"[\x21-\x7e]{1,128}")
_PARSED_MAX = 4096
_AUTH_TIME = re.compile(r"[0-9]{1,10}")
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")

_UUID = re.compile(
    r"[0-9a-f]{8}(-?)[0-9a-f]{4}\1[0-9a-f]{4}\1[0-9a-f]{4}\1[0-9a-f]{12}", re.IGNORECASE
)
"""A UUID with or without hyphens. Python's own parser also accepts spaces and underscores."""

log = structlog.get_logger()


def admit(contract: MethodContract, metadata: dict[str, str]) -> Call:
    """Return the call if its identity, scopes and key satisfy the policy; raise if not."""
    caller = service_account(metadata.get("x-forwarded-client-cert", ""))
    from_gateway = caller == GATEWAY and contract.audience is not Audience.INTERNAL
    if not from_gateway and caller not in contract.services:
        raise errors.CallerForbidden
    partner = _partner(contract, metadata) if from_gateway else ""
    subject = metadata.get("x-bp-subject", "")
    scopes = frozenset(metadata.get("x-bp-scope", "").split())
    customer = contract.audience is Audience.CUSTOMER
    if customer:
        subject = _customer(contract, subject, scopes)
    key = metadata.get("idempotency-key", "")
    if contract.idempotency_key_required:
        _require_key(key)
    return Call(
        method=contract.path,
        caller=caller,
        subject=subject,
        scopes=scopes,
        idempotency_key=key,
        request_id=_plain(_REQUEST_ID, metadata.get("x-request-id", "")),
        traceparent=_plain(_TRACEPARENT, metadata.get("traceparent", "")),
        metadata=metadata,
        admit_time=utc_now(),
        partner=partner,
        session_id=_session(metadata) if customer else "",
        device_id=_plain(_SESSION, metadata.get("x-bp-device", "")) if customer else "",
        auth_time=_auth_time(metadata.get("x-bp-auth-time", "")) if customer else None,
        client_address=_address(metadata.get("x-bp-client-address", "")) if from_gateway else "",
        step_up=contract.step_up,
    )


def text_metadata(pairs: Iterable[tuple[str, str | bytes]]) -> dict[str, str]:
    """Return the text metadata of a call; several lines of a header are one list (RFC 9110)."""
    joined: dict[str, str] = {}
    for name, value in pairs:
        if isinstance(value, str):
            joined[name] = f"{joined[name]}, {value}" if name in joined else value
    return joined


def _plain(form: re.Pattern[str], text: str) -> str:
    """Return a header's value for rows, events and further calls; malformed values become "".

    The caller chose the value, and a statement that fails on it would also fail the other
    customers' rows in its batch.
    """
    return text if form.fullmatch(text) else ""


def _partner(contract: MethodContract, metadata: dict[str, str]) -> str:
    """Return the partner's name, which the gateway reads from the client certificate."""
    if contract.audience is not Audience.PARTNER:
        return ""
    name = metadata.get("x-bp-partner", "")
    if name not in contract.partners:
        raise errors.CallerForbidden
    return name


def _customer(contract: MethodContract, subject: str, scopes: frozenset[str]) -> str:
    """Return the customer's id in its canonical form: lower case, with hyphens."""
    if not _UUID.fullmatch(subject):
        raise errors.Unauthenticated
    if not scopes.issuperset(contract.scopes):
        raise errors.ScopeMissing(scopes=" ".join(contract.scopes))
    return str(uuid.UUID(subject))


def _session(metadata: dict[str, str]) -> str:
    """Return the id of the token's session; a token without one cannot be revoked."""
    session_id = _plain(_SESSION, metadata.get("x-bp-session", ""))
    if not session_id:
        raise errors.Unauthenticated
    return session_id


# A customer's calls repeat both values, so they are parsed once and not on each call's way.
@lru_cache(_PARSED_MAX)
def _auth_time(header: str) -> datetime | None:
    seconds = _plain(_AUTH_TIME, header)
    return datetime.fromtimestamp(int(seconds), UTC) if seconds else None


@lru_cache(_PARSED_MAX)
def _address(header: str) -> str:
    try:
        return str(ipaddress.ip_address(header))
    except ValueError:
        return ""


def _require_key(key: str) -> None:
    if not key:
        raise errors.IdempotencyKeyMissing
    if not _KEY.fullmatch(key):
        raise errors.IdempotencyKeyInvalid


def reader(kind: type[Message]) -> Callable[[bytes], Message | None]:
    """Return a deserialiser that returns None for a message that cannot be read.

    Text that is not UTF-8 cannot be read either. gRPC would answer an error raised here with
    INTERNAL and no reason, so the boundary refuses the request instead.
    """

    def read(raw: bytes) -> Message | None:
        try:
            return kind.FromString(raw)
        except DecodeError:
            return None

    return read


def require_valid(request: Message | None) -> None:
    """Raise InvalidArgument that lists every field that violates the schema."""
    if request is None:
        raise errors.InvalidArgument(errors.FieldViolation("", "the message cannot be read"))
    violations = violations_of(request)
    if violations:
        raise errors.InvalidArgument(*violations)


def translate(error: Exception, method: str) -> errors.BankError:
    """Return the bank's error for any exception of a handler; log an exception that is a defect."""
    if isinstance(error, errors.BankError):
        return error
    if isinstance(error, TimeoutError):
        return errors.DeadlineExceeded()
    if is_unreachable(error):
        log.warning("call.dependency_unavailable", method=method, error=type(error).__name__)
        return errors.DependencyUnavailable()
    log.error("call.defect", method=method, exc_info=error)
    return errors.InternalError()


class CallLimit:
    """Limits the calls that a process serves at once, and so the queues in which calls wait."""

    def __init__(self, calls_max: int) -> None:
        self._calls_max = calls_max
        self._running = 0

    @contextmanager
    def place(self) -> Generator[None]:
        """Hold one place during the block; raise RateLimited if all are taken."""
        if self._running >= self._calls_max:
            raise errors.RateLimited
        self._running += 1
        try:
            yield
        finally:
            self._running -= 1


async def _answered(
    handler: Handler, request: Any, context: grpc.aio.ServicerContext[Any, Any]
) -> Any:
    """Return the handler's answer, and send the headers that it noted."""
    headers: dict[str, str] = {}
    answer_headers.set(headers)
    answer = await handler(request, context)
    if headers:
        await context.send_initial_metadata(cast("Any", tuple(headers.items())))
    return answer


def guarded(
    contract: MethodContract,
    handler: Handler,
    limit: CallLimit,
    revoked: RevokedSessions,
) -> Handler:
    """Wrap one unary handler with its policy, its deadline and the translation of errors."""
    deadline_s = contract.deadline_ms / 1000

    async def call(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
        try:
            metadata = text_metadata(context.invocation_metadata() or ())
            bind_request(
                _plain(_REQUEST_ID, metadata.get("x-request-id", "")),
                _plain(_TRACEPARENT, metadata.get("traceparent", "")),
            )
            admitted = admit(contract, metadata)
            if revoked.is_revoked(admitted.session_id):
                raise errors.Unauthenticated
            require_for_method(admitted)
            current_call.set(admitted)
            require_valid(request)
            with limit.place():
                async with asyncio.timeout(deadline_s):
                    return await _answered(handler, request, context)
        except Exception as error:  # noqa: BLE001 - the process's edge: a caller gets every error as a Status
            answer = translate(error, contract.path)
        status = statuses.to_status(answer)
        await context.abort(
            statuses.GRPC_CODES[answer.code.value],
            answer.message,
            cast("Any", tuple(statuses.trailing_metadata(answer, status))),
        )
        return None

    return call
