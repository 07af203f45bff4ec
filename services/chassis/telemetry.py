"""Structured logs in the field names of ECS, one JSON object a line, without personal data.

Services log ids and reasons, never a request or a customer's data. A protobuf message that reaches
a log line is replaced by its name. PostgreSQL's description of a refused row or value is cut from
texts and tracebacks.
"""

import json
import logging
import re
import sys
from typing import Any, cast

import orjson
import structlog
from google.protobuf.message import Message

_LEVELS = {"debug": "debug", "info": "info", "warning": "warn", "error": "error"}

_DETAIL = re.compile(
    r"\n(?P<edge>(?: *(?P<group>\|) )?)DETAIL:  .*?"
    r"(?=\n(?P=edge)HINT:|\n(?P=edge)\n(?P=edge)(?:The above|During handling)"
    r"|(?(group)\n *\+-|\Z)|\Z)",
    re.DOTALL,
)
"""The DETAIL of a PostgreSQL error in a text, over any number of lines. In an exception group, each
line of an error has the group's margin, and a line "+---" ends the error."""

_VALUE = re.compile(
    r"(invalid input (?:syntax for type|value for enum|for query argument) [^:\n]{1,200}): "
    r"(?:\".*?"
    r"(?=\n *(?:\| )?HINT:|\n *(?:\| )?\n *(?:\| )?(?:The above|During handling)"
    r"|\n *(?:[|+] )?(?:Exception Group )?Traceback \(most recent call last\)"
    r"|\n *\+(?:-\+)?-{16}|\Z)|[^\n]*)",
    re.DOTALL,
)
"""The value that PostgreSQL or its driver cannot read. The driver writes it without line breaks.
PostgreSQL quotes it as it is, so nothing in it shows where it ends: all is cut up to the end of the
error, which is that of _DETAIL, or up to the traceback after a line that shows the error."""


def _to_ecs(_logger: object, method: str, event: structlog.typing.EventDict) -> str:
    line: dict[str, Any] = {
        "@timestamp": event.pop("timestamp"),
        "log.level": _LEVELS.get(method, method),
        "message": event.pop("event"),
    }
    line.update(event)
    try:
        return orjson.dumps(line, default=_text).decode()
    except orjson.JSONEncodeError:
        # A text has half of a surrogate pair, which UTF-8 cannot encode. `json.dumps` escapes it.
        return json.dumps(line, default=_text)


def _text(value: object) -> str:
    """Return a string for a value that JSON cannot represent, such as a Kafka header's bytes."""
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _without_rows(
    _logger: object, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Remove PostgreSQL's description of a refused row or value: they are a customer's."""
    for field, value in event.items():
        if isinstance(value, str) and ("DETAIL:" in value or "invalid input " in value):
            event[field] = _VALUE.sub(r"\1", _DETAIL.sub("", value))
    return event


def _without_messages(
    _logger: object, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Replace each protobuf message by its name: its fields may be a customer's data."""
    for field, value in event.items():
        if isinstance(value, Message):
            event[field] = f"<{value.DESCRIPTOR.full_name}>"
    return event


def bind_request(request_id: str, traceparent: str) -> None:
    """Add the ids of a request to every later line of the running task and of tasks it starts.

    `traceparent` is the W3C header; empty ids are left out.
    """
    _, _, rest = traceparent.partition("-")
    trace_id, _, _ = rest.partition("-")
    ids = {"http.request.id": request_id, "trace.id": trace_id}
    structlog.contextvars.bind_contextvars(**{name: value for name, value in ids.items() if value})


def configure(service: str, slot: str, level: str) -> None:
    """Send the process's logs to standard output; called once, when the process starts."""

    def process(
        _logger: object, _method: str, event: structlog.typing.EventDict
    ) -> structlog.typing.EventDict:
        # Not a context variable, which other threads do not have.
        event.update({"service.name": service, "service.node.name": slot})
        return event

    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            process,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _without_rows,
            _without_messages,
            cast("Any", _to_ecs),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stdout),
        cache_logger_on_first_use=True,
    )
