"""The values of Istio's fields: durations, retry conditions and names."""

import re
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

_DURATION = re.compile(r"^(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?(?:(\d+)ms)?$")


def _duration(value: Any) -> timedelta:
    match = _DURATION.match(value) if isinstance(value, str) and value else None
    if match is None:
        raise ValueError("must be a duration such as 30s, 1m30s or 250ms")
    hours, minutes, seconds, millis = (float(part or 0) for part in match.groups())
    span = timedelta(hours=hours, minutes=minutes, seconds=seconds, milliseconds=millis)
    if not span:
        raise ValueError("must be longer than zero; Envoy reads zero as no limit")
    return span


def split(value: Any) -> Any:
    """Split a text at its commas; return None for an empty text, and other values unchanged."""
    if not isinstance(value, str):
        return value
    return tuple(each.strip() for each in value.split(",")) if value else None


Duration = Annotated[timedelta, BeforeValidator(_duration)]
RetryCondition = Literal[
    "5xx",
    "gateway-error",
    "retriable-4xx",
    "envoy-ratelimited",
    "reset",
    "reset-before-request",
    "connect-failure",
    "refused-stream",
    "cancelled",
    "deadline-exceeded",
    "internal",
    "resource-exhausted",
    "unavailable",
]
"""Istio's conditions, without those that have no effect unless another field is set."""
Name = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$")]
SpiffeId = Annotated[str, Field(pattern=r"^spiffe://[a-z0-9._-]+/[!-~]+$")]
"""A caller without a certificate has an empty name; no rule may admit it."""
