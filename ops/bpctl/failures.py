"""What a command says when a part of the bank refuses it or cannot be reached.

One table for all commands: an error of PostgreSQL, Kafka, gRPC, OpenBao, a socket or a file ends a
command with one sentence and the exit code 3. Any other error is a defect and keeps its traceback.
"""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from typer.core import TyperGroup

from ops.bpctl.connections import AWAY, CHECK, fail

NEW_LOGINS = "Run `make down` and `make up`: a start sets every login again."
NOT_MADE = "Run `make down` and `make up`: a start creates what is missing."
RETRY = "Run the command again."
NO_WAY = (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EADDRNOTAVAIL)
"""Errors of connecting that have no class of their own."""
NO_ANSWER = ("UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED", "RESOURCE_EXHAUSTED")
"""The gRPC codes of a call that no service has handled to its end."""


@dataclass(frozen=True, slots=True)
class Failure:
    """The errors of one cause."""

    types: tuple[type[BaseException], ...]
    part: str
    """Named at the start of the sentence; "" if the error's text names it."""
    remedy: str
    text: Callable[[Any], str] = str
    """Error -> its text."""
    applies: Callable[[Any], bool] = lambda _error: True
    """Whether an error of these types has this cause."""


@cache
def table() -> tuple[Failure, ...]:
    """Return the causes; the first with a type of the error applies."""
    # Imported here: most commands end without an error and start faster without these.
    import aiohttp
    import asyncpg
    import grpc
    from confluent_kafka import KafkaException

    refused = (asyncpg.InvalidAuthorizationSpecificationError,)
    missing = (
        *(asyncpg.InvalidCatalogNameError, asyncpg.InvalidSchemaNameError),
        *(asyncpg.UndefinedTableError, asyncpg.UndefinedFunctionError),
    )
    closed = (asyncpg.InsufficientPrivilegeError,)
    busy = (asyncpg.LockNotAvailableError, asyncpg.TransactionRollbackError)
    full = (asyncpg.TooManyConnectionsError,)
    away = (
        *(asyncpg.PostgresConnectionError, asyncpg.OperatorInterventionError),
        asyncpg.InsufficientResourcesError,
    )
    return (
        Failure(refused, "PostgreSQL refused the login", NEW_LOGINS),
        Failure(missing, "PostgreSQL", NOT_MADE),
        Failure(closed, "PostgreSQL refused the request", NOT_MADE),
        Failure((*busy, *full), "PostgreSQL", RETRY),
        Failure(away, "PostgreSQL", CHECK),
        Failure((asyncpg.InterfaceError,), "PostgreSQL", CHECK, applies=_is_closed),
        Failure((KafkaException,), "Kafka", CHECK, _of_kafka),
        Failure((grpc.RpcError,), "gRPC", CHECK, _of_grpc, _is_without_answer),
        Failure((aiohttp.ClientError,), "HTTP", CHECK),
        Failure((TimeoutError,), "", CHECK, lambda error: str(error) or "No answer in time"),
        Failure((OSError,), "", CHECK, applies=_is_of_connecting),
        Failure((OSError,), "", "", _of_system),
    )


def _is_closed(error: Any) -> bool:
    """Return whether the driver lost its connection; its other errors are a caller's mistake."""
    return "closed" in str(error)


def _is_without_answer(error: Any) -> bool:
    """Return whether a service did not answer; the other codes are an answer."""
    return hasattr(error, "code") and error.code().name in NO_ANSWER


def _of_kafka(error: Any) -> str:
    cause = error.args[0] if error.args else error
    return cause.str() if hasattr(cause, "str") else str(cause)


def _of_grpc(error: Any) -> str:
    return f"{error.code().name}: {error.details()}"


def _is_of_connecting(error: Any) -> bool:
    """Return whether an error means that a part did not answer; a missing file is a socket's or a
    token's, which a part creates. Others, such as a full disk, say nothing about the bank."""
    kinds = (ConnectionError, FileNotFoundError, socket.gaierror, ssl.SSLError)
    return isinstance(error, kinds) or error.errno in NO_WAY or _is_joined(error)


def _is_joined(error: OSError) -> bool:
    """Return whether asyncio made the error from those of several addresses: it has no number."""
    return type(error) is OSError and error.errno is None


def _of_system(error: Any) -> str:
    text = error.strerror or str(error)
    return f"{error.filename}: {text}" if error.filename else text


def sentence(error: BaseException) -> str:
    """Return what to say about an error; "" if the table has no cause for it."""
    causes = [_of_one(one) for one in _leaves(error)]
    return causes[0] if all(causes) else ""


def _of_one(error: BaseException) -> str:
    for failure in table():
        if isinstance(error, failure.types) and failure.applies(error):
            text = " ".join(failure.text(error).split()).rstrip(".")
            return f"{failure.part}: {text}. {failure.remedy}".removeprefix(": ").rstrip()
    return ""


def _leaves(error: BaseException) -> Iterator[BaseException]:
    """Yield the errors of a group, which concurrent tasks raise together; an error itself."""
    if not isinstance(error, BaseExceptionGroup):
        yield error
        return
    group: BaseExceptionGroup[BaseException] = error
    for one in group.exceptions:
        yield from _leaves(one)


class Commands(TyperGroup):
    """All commands of bpctl: the only place where such an error becomes a sentence."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command; exit with one sentence if a part of the bank failed it."""
        try:
            return super().invoke(ctx)
        except Exception as error:  # the edge of the process
            if isinstance(error, OSError) and error.errno == errno.EPIPE:
                raise  # the reader of the output has left, as with `| head`
            if not (said := sentence(error)):
                raise
            fail(said, AWAY)
