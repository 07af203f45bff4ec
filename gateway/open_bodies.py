"""The Lua source of the filter that limits bodies before they arrive."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from gateway.replies import REPLIES, TOO_MANY, status_json
from gateway.request_check import literal

_CODE = Path(__file__).with_suffix(".lua")
REQUEST_BYTES = 28 * 1024
"""What Envoy 1.40 allocates for a request whose body has one byte (measured)."""


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """The largest sums of the reservations in a pool, in bytes."""

    address: int
    """Of one IPv4 address or IPv6 /64 network."""
    site: int
    """Of one IPv6 /48 network."""
    total: int


def source(small: PoolLimits, large: PoolLimits, arrival_s: int) -> str:
    """Return the filter's whole source; no body takes longer than `arrival_s` to arrive.

    A route's metadata has `body_bytes_max`, and for a public method the `pool`: small or large.
    """
    reply = next(each for each in REPLIES if each.http == TOO_MANY)
    values = {
        "POOLS": {"small": asdict(small), "large": asdict(large)},
        "REQUEST_BYTES": REQUEST_BYTES,
        "ARRIVAL_S": arrival_s,
        "REPLY": {
            "body": json.dumps(status_json(reply)),
            "retry_after": str(reply.retry_after_s),
        },
    }
    prelude = "\n".join(f"local {name} = {literal(value)}" for name, value in values.items())
    return f"{prelude}\n{_CODE.read_text()}"
