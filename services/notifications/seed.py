"""Devices for seeded customers, in bulk: what a mobile app would have registered."""

import uuid
from collections.abc import Iterable
from itertools import islice
from typing import Any

ROWS_MAX = 10_000


async def seed_devices(connection: Any, customers: Iterable[tuple[uuid.UUID, str]]) -> int:
    """Register `device-<customer_id>` for each (customer_id, locale); return how many were new."""
    rest = iter(customers)
    added = 0
    while chunk := list(islice(rest, ROWS_MAX)):
        tag: str = await connection.execute(
            "INSERT INTO notif.device (token, customer_id, locale)"
            " SELECT 'device-' || id, id, locale"
            " FROM unnest($1::uuid[], $2::text[]) AS customer (id, locale)"
            " ON CONFLICT (token) DO NOTHING",
            [customer_id for customer_id, _ in chunk],
            [locale for _, locale in chunk],
        )
        added += int(tag.rsplit(" ", 1)[1])
    return added
