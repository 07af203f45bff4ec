"""What is written about an error of a handler: its class, its reason and where it was raised. Pure.

Never its text, which may contain a customer's data: PostgreSQL and the drivers quote the value that
they refuse. The record itself, with its data, is in the dead-letter topic.
"""

import traceback
from collections.abc import Iterator

import asyncpg


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
    """Return an error's traceback without texts, after the tracebacks of the errors before it."""
    return "\n".join(reversed([*_traces(error)]))


def _traces(error: BaseException) -> Iterator[str]:
    seen: set[int] = set()
    following: BaseException | None = error
    while following is not None and id(following) not in seen:
        seen.add(id(following))
        yield "".join(traceback.format_tb(following.__traceback__)) + cause_of(following)
        hidden = following.__suppress_context__
        following = following.__cause__ or (None if hidden else following.__context__)
