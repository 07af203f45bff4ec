"""Lets betterproto2 examine each message class once; version 0.9 does so again for each message.

To encode one message, betterproto2 resolves the type hints of its class and compiles the class's
pydantic validator. Both depend on the class alone. For all messages of the mesh together this took
four fifths of the time of their translation.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import betterproto2
from pydantic_core import SchemaValidator

HINTS = "_type_hints"
VALIDATE = "_validate"
UNKNOWN = "_unknown_fields"
"""The field of a message that is not part of its schema."""


def examine_each_class_once() -> None:
    """Replace the two methods of betterproto2; a second call changes nothing.

    Raise KeyError for a version of betterproto2 without them.
    """
    of_message: dict[str, Any] = dict(vars(betterproto2.Message))
    if of_message[VALIDATE] is _validate:
        return
    resolved: Callable[[type], dict[str, type]] = cache(of_message[HINTS].__func__)
    setattr(betterproto2.Message, HINTS, classmethod(resolved))
    setattr(betterproto2.Message, VALIDATE, _validate)


def _validate(message: betterproto2.Message) -> None:
    """Raise pydantic's ValidationError for a field whose value does not have the field's type."""
    fields = {name: value for name, value in vars(message).items() if name != UNKNOWN}
    _validator(type(message)).validate_python(fields)


@cache
def _validator(of: type[betterproto2.Message]) -> SchemaValidator:
    return SchemaValidator(vars(of)["__pydantic_core_schema__"])
