"""Sends the errors that no code catches to the process's log.

Python prints them on standard error, with PostgreSQL's description of a refused row. The log leaves
that out, see `telemetry`.
"""

import asyncio
import logging
import re
import sys
import threading
from types import TracebackType
from typing import Any

import structlog

log = structlog.get_logger()

_PLAIN_WORDS = re.compile(r"Exception in callback|[A-Za-z_ ]*")
"""The start of a message of the event loop, without the values in it."""


def log_uncaught() -> None:
    """Log the errors that end the process, a thread or a finaliser, and libraries' own lines.

    Called once, when the process starts. The exit code of a process that an error ends remains 1.
    """
    sys.excepthook = _process_failed
    threading.excepthook = _thread_failed
    sys.unraisablehook = _finaliser_failed
    logging.basicConfig(level=logging.WARNING, handlers=[_LibraryLines()], force=True)


def log_errors_of(loop: asyncio.AbstractEventLoop) -> None:
    """Log the errors of callbacks and of tasks whose result no code reads."""
    loop.set_exception_handler(_loop_failed)


def _process_failed(
    _kind: type[BaseException], error: BaseException, _trace: TracebackType | None
) -> None:
    log.error("process.failed", detail=_reason(error), exc_info=error)


def _thread_failed(failed: threading.ExceptHookArgs) -> None:
    if failed.exc_value is not None and not isinstance(failed.exc_value, SystemExit):
        name = failed.thread.name if failed.thread else ""
        reason = _reason(failed.exc_value)
        log.error("thread.failed", thread=name, detail=reason, exc_info=failed.exc_value)


def _reason(error: BaseException) -> str:
    """Return the type and text of an error; of a group, those of its first error.

    They come before the traceback, because the supervisor shows only the start of the line.
    """
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"


def _finaliser_failed(failed: "sys.UnraisableHookArgs") -> None:
    log.error("finaliser.failed", detail=failed.err_msg or "", exc_info=failed.exc_value)


def _loop_failed(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log an error of the event loop. Its other details, and the rest of the message about a
    callback, show the arguments of calls, so they are left out."""
    detail = _PLAIN_WORDS.match(context.get("message") or "")
    words = detail.group().strip() if detail else ""
    log.error("event_loop.error", detail=words, exc_info=context.get("exception"))


class _LibraryLines(logging.Handler):
    """Log lines of libraries that use Python's own logging."""

    def emit(self, record: logging.LogRecord) -> None:
        """Log the line with its level, its logger and its traceback; never raise into the library.

        Of a line that cannot be logged, only its logger and the kind of the error are logged,
        because its arguments may be a customer's data.
        """
        try:
            self._log(record)
        except Exception as error:  # noqa: BLE001 - the arguments' own methods may raise any error
            failure = type(error).__name__
            log.warning("library.line_failed", logger=record.name, detail=failure)

    def _log(self, record: logging.LogRecord) -> None:
        # The log has no levels between the multiples of ten.
        level = min(record.levelno, logging.ERROR) // 10 * 10
        trace = {"exc_info": record.exc_info} if record.exc_info else {}
        log.log(level, "library.line", logger=record.name, detail=record.getMessage(), **trace)
