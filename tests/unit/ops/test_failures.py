"""A part of the bank that refuses or does not answer ends a command with one sentence."""

from __future__ import annotations

import aiohttp
import asyncpg
import grpc
import grpc.aio
import pytest
import typer
from confluent_kafka import KafkaError, KafkaException
from typer.testing import CliRunner

from ops.bpctl import app, failures

NO_METADATA = grpc.aio.Metadata()
TOLD: dict[str, tuple[BaseException, str, str]] = {
    "wrong password": (
        asyncpg.InvalidPasswordError('password authentication failed for user "bp_reviewer"'),
        'PostgreSQL refused the login: password authentication failed for user "bp_reviewer".',
        failures.NEW_LOGINS,
    ),
    "no such login": (
        asyncpg.InvalidAuthorizationSpecificationError('role "bp_judge" is not permitted'),
        'PostgreSQL refused the login: role "bp_judge" is not permitted.',
        failures.NEW_LOGINS,
    ),
    "no such database": (
        asyncpg.InvalidCatalogNameError('database "bp_audit" does not exist'),
        'PostgreSQL: database "bp_audit" does not exist.',
        failures.NOT_MADE,
    ),
    "no such table": (
        asyncpg.UndefinedTableError('relation "audit.record" does not exist'),
        'PostgreSQL: relation "audit.record" does not exist.',
        failures.NOT_MADE,
    ),
    "a right that is missing": (
        asyncpg.InsufficientPrivilegeError("permission denied for table record"),
        "PostgreSQL refused the request: permission denied for table record.",
        failures.NOT_MADE,
    ),
    "a locked row": (
        asyncpg.LockNotAvailableError("a lock timeout ended the statement"),
        "PostgreSQL: a lock timeout ended the statement.",
        failures.RETRY,
    ),
    "shutdown": (
        asyncpg.AdminShutdownError("terminating connection"),
        "PostgreSQL: terminating connection.",
        failures.CHECK,
    ),
    "still starting": (
        asyncpg.CannotConnectNowError("the database system is starting up"),
        "PostgreSQL: the database system is starting up.",
        failures.CHECK,
    ),
    "too many connections": (
        asyncpg.TooManyConnectionsError("sorry, too many clients already"),
        "PostgreSQL: sorry, too many clients already.",
        failures.RETRY,
    ),
    "a lost connection": (
        asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation"),
        "PostgreSQL: connection was closed in the middle of operation.",
        failures.CHECK,
    ),
    "a closed connection": (
        asyncpg.InterfaceError("connection is closed"),
        "PostgreSQL: connection is closed.",
        failures.CHECK,
    ),
    "Kafka": (
        KafkaException(KafkaError(KafkaError._TRANSPORT, "Failed to get metadata")),
        "Kafka: Failed to get metadata.",
        failures.CHECK,
    ),
    "gRPC": (
        grpc.aio.AioRpcError(
            grpc.StatusCode.UNAVAILABLE, NO_METADATA, NO_METADATA, "no connection"
        ),
        "gRPC: UNAVAILABLE: no connection.",
        failures.CHECK,
    ),
    "HTTP": (
        aiohttp.ServerDisconnectedError("Server disconnected"),
        "HTTP: Server disconnected.",
        failures.CHECK,
    ),
    "a socket": (
        ConnectionRefusedError(111, "Connection refused"),
        "[Errno 111] Connection refused.",
        failures.CHECK,
    ),
    "a token that is missing": (
        FileNotFoundError(2, "No such file or directory", "/run/bpctl/token"),
        "[Errno 2] No such file or directory: '/run/bpctl/token'.",
        failures.CHECK,
    ),
    "no way to a host": (
        OSError(113, "No route to host"),
        "[Errno 113] No route to host.",
        failures.CHECK,
    ),
    "no answer": (TimeoutError(), "No answer in time.", failures.CHECK),
    "several lines": (
        OSError("one\n two "),
        "one two.",
        failures.CHECK,
    ),
    "concurrent tasks": (
        ExceptionGroup("tasks", [asyncpg.InterfaceError("connection is closed"), OSError("x")]),
        "PostgreSQL: connection is closed.",
        failures.CHECK,
    ),
}
"""Case -> the error, what is said about it, and the remedy."""

OF_THIS_MACHINE: dict[str, tuple[OSError, str]] = {
    "a full disk": (OSError(28, "No space left on device"), "No space left on device."),
    "a broken disk": (OSError(5, "Input/output error", "/a"), "/a: Input/output error."),
    "a file as a folder": (NotADirectoryError(20, "Not a directory", "/a"), "/a: Not a directory."),
    "no right": (PermissionError(13, "Permission denied", "/a"), "/a: Permission denied."),
    "a sentence": (PermissionError("/a is a link; remove it"), "/a is a link; remove it."),
}
"""Case -> an error that says nothing about the bank, and what is said about it."""

DEFECTS = (
    ZeroDivisionError("a defect"),
    asyncpg.PostgresSyntaxError("a defect"),
    asyncpg.InterfaceError("the server expects 2 arguments for this query, 1 was passed"),
    asyncpg.InternalClientError("got result for unknown protocol state 3"),
    grpc.aio.AioRpcError(grpc.StatusCode.INTERNAL, NO_METADATA, NO_METADATA, "a defect"),
    ExceptionGroup("tasks", [OSError("x"), KeyError("a defect")]),
)


def command_that_raises(error: BaseException) -> typer.Typer:
    """Return bpctl with one more command, in a group as most commands are."""
    bpctl, group = app.build(), typer.Typer()

    def run() -> None:
        raise error

    group.callback()(lambda: None)
    group.command("run")(run)
    bpctl.add_typer(group, name="raising")
    return bpctl


@pytest.mark.parametrize(("error", "told", "remedy"), TOLD.values(), ids=TOLD)
def test_an_error_of_a_part_is_one_sentence_with_its_remedy_and_the_exit_code_3(
    error: BaseException, told: str, remedy: str
) -> None:
    done = CliRunner().invoke(command_that_raises(error), ["raising", "run"])
    assert (done.exit_code, done.stdout, done.stderr) == (3, "", f"{told} {remedy}\n")


@pytest.mark.parametrize(("error", "told"), OF_THIS_MACHINE.values(), ids=OF_THIS_MACHINE)
def test_an_error_of_a_file_or_a_disk_does_not_blame_the_bank(error: OSError, told: str) -> None:
    done = CliRunner().invoke(command_that_raises(error), ["raising", "run"])
    assert (done.exit_code, done.stdout, done.stderr) == (3, "", f"{told}\n")


def test_what_is_missing_while_the_bank_runs_needs_a_stop_first() -> None:
    """`make up` alone changes nothing while the supervisor runs."""
    assert failures.NOT_MADE.startswith("Run `make down` and `make up`")


@pytest.mark.parametrize("error", DEFECTS, ids=repr)
def test_a_defect_keeps_its_traceback(error: BaseException) -> None:
    done = CliRunner().invoke(command_that_raises(error), ["raising", "run"])
    assert done.exception is error


def test_a_reader_of_the_output_that_leaves_is_no_failure_of_the_bank() -> None:
    """`bpctl … | head`: the command ends without a word."""
    left = BrokenPipeError(32, "Broken pipe")
    done = CliRunner().invoke(command_that_raises(left), ["raising", "run"])
    assert (done.exit_code, done.stderr) == (1, "")
