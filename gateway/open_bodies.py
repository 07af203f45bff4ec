"""The Lua source of the filter that limits the bodies that have not arrived yet."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from gateway.replies import REPLIES, TOO_MANY, status_json
from gateway.request_check import literal

_CODE = Path(__file__).with_suffix(".lua")
REQUEST_BYTES = 28 * 1024
"""What Envoy 1.40 allocates for a request whose body has one byte (measured)."""


class BodyPool(StrEnum):
    """The memory that a request without a token uses until its body has arrived."""

    SMALL = "SMALL"
    LARGE = "LARGE"


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """The largest sum of the reservations of one address and of all, in bytes."""

    address: int
    total: int


def source(pools: Mapping[BodyPool, PoolLimits], arrival_s: int) -> str:
    """Return the filter's whole source; no body takes longer than `arrival_s` to arrive."""
    reply = next(each for each in REPLIES if each.http == TOO_MANY)
    values = {
        "POOLS": {
            pool.value: {"address": limits.address, "total": limits.total}
            for pool, limits in pools.items()
        },
        "REQUEST_BYTES": REQUEST_BYTES,
        "ARRIVAL_S": arrival_s,
        "REPLY": {
            "body": json.dumps(status_json(reply)),
            "retry_after": str(reply.retry_after_s),
        },
    }
    prelude = "\n".join(f"local {name} = {literal(value)}" for name, value in values.items())
    return f"{prelude}\n{_CODE.read_text()}"
