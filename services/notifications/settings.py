"""Notifications' knobs."""

from bp.notifications.v1.notifications_events_pb2 import NotificationEvent

from services.chassis.settings import ServiceSettings
from services.contracts.topics import topic_of

TOPIC = topic_of(NotificationEvent).name
GROUP = "notif"


class Settings(ServiceSettings):
    """Settings of one notifications process."""

    service: str = "notifications"
    pool_connections: int = 4
    batch_rows_max: int = 500
    """Requests that are written in one statement."""
    batch_linger_ms: int = 200
    """How long requests gather before they are written."""
    sends_max: int = 32
    """Pushes under way at once."""
    waiting_max: int = 2000
    """Deliveries leased and not yet sent; the group waits when there are as many."""
    lease_s: int = 60
    """For how long a delivery is this process's own; after a crash it is sent again then."""
    lease_margin_s: int = 20
    """A push that has less lease left is not begun: its attempt could outlast the lease."""
    retry_first_s: float = 1.0
    retry_s_max: float = 300.0
    """Back-off between attempts doubles from the first to this."""
    poll_s: float = 1.0
    """How often deliveries whose time has come are looked for."""
    partitions_ahead_months: int = 3
