"""What is written about an error of a handler: its class, its reason and where it was raised. Pure.

Never its text, which may contain a customer's data: PostgreSQL and the drivers quote the value that
they refuse. The record itself, with its data, is in the dead-letter topic.
"""

import traceback
from collections.abc import Iterator, Sequence
from itertools import islice

import asyncpg

ERRORS_MAX = 20
"""How many errors a traceback has at most."""


class BadMessage(Exception):
    """The message cannot be read or breaks a rule. It goes to the dead-letter topic.

    Only `reason` is written there and to the log: `detail` may contain a customer's data.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        self.reason = reason
        super().__init__(detail or reason)


def cause_of(error: BaseException) -> str:
    """Return an error's class and reason, such as "CheckViolationError 23514 entry_amount_check".

    The reason is a BadMessage's own, or PostgreSQL's SQLSTATE with the constraint, if there is one.
    """
    words = [type(error).__name__]
    if isinstance(error, BadMessage):
        words.append(error.reason)
    elif isinstance(error, asyncpg.PostgresError):
        # asyncpg sets what the server sends as attributes that its class does not declare.
        facts = (getattr(error, name, None) for name in ("sqlstate", "constraint_name"))
        words += filter(None, facts)
    return " ".join(words)


def trace_of(error: BaseException) -> str:
    """Return an error's traceback without texts, after the tracebacks of the errors before it and
    in it, if it is a group; at most ERRORS_MAX errors."""
    return "\n".join(reversed([*islice(_traces(error), ERRORS_MAX)]))


def _traces(error: BaseException) -> Iterator[str]:
    """Yield the traceback of an error, then those of the errors in it and before it."""
    seen: set[int] = set()
    following = [error]
    while following:
        one = following.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield "".join(traceback.format_tb(one.__traceback__)) + cause_of(one)
        before = one.__cause__ or (None if one.__suppress_context__ else one.__context__)
        following += [before] if before is not None else []
        following += _errors_in(one)


def _errors_in(error: BaseException) -> Sequence[BaseException]:
    """Return the errors of a group; none of any other error."""
    if not isinstance(error, BaseExceptionGroup):
        return ()
    group: BaseExceptionGroup[BaseException] = error
    return group.exceptions
