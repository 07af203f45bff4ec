"""Settings of the notifications service."""

from collections.abc import Mapping
from typing import ClassVar

from services.chassis.settings import ServiceSettings
from services.contracts.topics import read_by

GROUP = "notif"
(TOPIC,) = read_by(GROUP)


class NotificationsSettings(ServiceSettings):
    """Settings of one notifications process; environment variables have the prefix BP_."""

    former_names: ClassVar[Mapping[str, str]] = {
        "waiting_pushes_max": "BP_WAITING_MAX",
        "retry_s_max": "BP_RETRY_MAX_S",
    }

    service: str = "notifications"
    pool_connections: int = 4
    batch_rows_max: int = 500
    """The largest number of requests that one statement writes."""
    batch_linger_ms: int = 200
    """How long requests gather before they are written."""
    sends_max: int = 32
    """The largest number of pushes in flight at once."""
    waiting_pushes_max: int = 2000
    """The largest number of deliveries that are leased and not yet sent. At this number the group
    stops reading."""
    lease_s: int = 60
    """For how long only this process sends a delivery; after a crash, another process sends it when
    the lease ends."""
    lease_margin_s: int = 20
    """A push with less of its lease left is not sent: the attempt could outlast the lease."""
    retry_first_s: float = 1.0
    """Wait before the second attempt; it doubles with each attempt."""
    retry_s_max: float = 300.0
    """Longest wait between two attempts."""
    expiry_s: float = 259_200.0
    """A message that could not be sent for three days is UNDELIVERABLE."""
    poll_s: float = 1.0
    """How often the sender looks for deliveries that are due."""
    partitions_ahead_months: int = 3
    """How many months ahead the messages have their partitions."""
