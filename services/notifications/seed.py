"""Devices in bulk, for seeded customers: what a mobile app would have registered."""

from collections.abc import Iterable
from itertools import islice
from typing import Any

from services.notifications.state import Device

ROWS_MAX = 10_000


async def seed_devices(connection: Any, devices: Iterable[Device]) -> int:
    """Register the devices that are not known yet; return how many were new."""
    rest = iter(devices)
    added = 0
    while chunk := list(islice(rest, ROWS_MAX)):
        tag: str = await connection.execute(
            "INSERT INTO notif.device (token, customer_id, locale)"
            " SELECT token, customer_id, locale"
            " FROM unnest($1::text[], $2::uuid[], $3::text[]) AS d (token, customer_id, locale)"
            " ON CONFLICT (token) DO NOTHING",
            [device.token for device in chunk],
            [device.customer_id for device in chunk],
            [device.locale for device in chunk],
        )
        added += int(tag.rsplit(" ", 1)[1])
    return added
