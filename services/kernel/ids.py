"""Identifiers. Every id is a UUID; ids of rows in growing tables are version 7, so time-ordered.

The low six bits of the last byte are the shard. A customer's accounts, and the transfers that debit
them, carry the customer's shard, so all rows of one transfer are in one shard.
"""

import os
import time
import uuid

SHARDS = 64

_ORDERS = uuid.UUID("5d0c5a40-6f8e-4d0b-9a39-1f0c7a1f3f52")
"""Namespace of the ids of orders."""


def shard_of(identifier: uuid.UUID) -> int:
    """Return the shard, 0 to 63, that an id carries."""
    return identifier.bytes[15] & (SHARDS - 1)


def new_id(shard: int | None = None) -> uuid.UUID:
    """Return a new UUIDv7 (RFC 9562) in the given shard, or in a random one."""
    milliseconds = time.time_ns() // 1_000_000
    raw = bytearray(milliseconds.to_bytes(6, "big") + os.urandom(10))
    raw[6] = 0x70 | (raw[6] & 0x0F)
    raw[8] = 0x80 | (raw[8] & 0x3F)
    if shard is not None:
        raw[15] = (raw[15] & ~(SHARDS - 1) & 0xFF) | shard
    return uuid.UUID(bytes=bytes(raw))


def order_id_of(
    customer_id: uuid.UUID | str, idempotency_key: str, fingerprint: bytes
) -> uuid.UUID:
    """Return the id of a customer's order, from its key and the digest of its payload.

    A repetition of the order has the same id.
    """
    return uuid.uuid5(_ORDERS, f"{customer_id}/{idempotency_key}/{fingerprint.hex()}")
