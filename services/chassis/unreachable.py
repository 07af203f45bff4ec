"""Errors which mean that a store or service is temporarily unreachable, so a retry may succeed.

Any other error is a defect: it ends the process, so that an operator sees it.
"""

import asyncpg
import grpc
import grpc.aio
import redis.exceptions

from services.chassis.valkey import RefusedForNow

UNREACHABLE: tuple[type[Exception], ...] = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.TransactionRollbackError,
    # Another session holds a row for longer than the statement may wait.
    asyncpg.LockNotAvailableError,
    # asyncpg raises this when the server closes a connection while the pool hands it out.
    asyncpg.InternalClientError,
    # Valkey is stopped, busy or reading its file. A refused login is a ConnectionError, too.
    redis.exceptions.ConnectionError,
    redis.exceptions.TimeoutError,
    # Valkey's memory is full; keys expire and free it.
    redis.exceptions.OutOfMemoryError,
    # Valkey refuses calls for now: it cannot write its file, or it became a replica.
    RefusedForNow,
    redis.exceptions.ReadOnlyError,
    redis.exceptions.MasterDownError,
)
"""Transient server-side failures of a store or a socket."""

_UNREACHABLE_CODES = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        # A server that shuts down resets calls that it has not begun. This status never means that
        # this process cancelled the call, which raises CancelledError.
        grpc.StatusCode.CANCELLED,
    }
)


_NOTIFIES = "PreCommit_Notify"
"""The function of PostgreSQL that finds the cluster's queue of notifications full at a commit."""


def is_notification_queue_full(error: BaseException) -> bool:
    """Return whether a transaction failed only because it notifies and the queue is full.

    Any login can fill that queue, and the relay frees it. The error of a value that is too large
    has the same class, but is permanent.
    """
    return isinstance(error, asyncpg.ProgramLimitExceededError) and (
        getattr(error, "server_source_function", None) == _NOTIFIES
    )


def is_unreachable(error: BaseException) -> bool:
    """Return whether the error means that a store or another service is temporarily unreachable."""
    if isinstance(error, grpc.aio.AioRpcError):
        # RESOURCE_EXHAUSTED without a retry time means that a message is too large: a bug.
        overloaded = error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        retriable = any(name == "retry-after" for name, _ in error.trailing_metadata() or ())
        return error.code() in _UNREACHABLE_CODES or (overloaded and retriable)
    return isinstance(error, UNREACHABLE) or is_notification_queue_full(error)
