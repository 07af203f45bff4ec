"""Settings of the router: how large a transaction may grow and how long it may wait."""

from bp.event.v1 import topics_pb2

from services.chassis.settings import ServiceSettings
from services.contracts.topics import topic

SOURCES = tuple(
    topic(one).name for one in (topics_pb2.PAYMENTS, topics_pb2.TRANSFERS, topics_pb2.AUTH_EVENTS)
)
"""Topics that the router reads. Events of `auth-events` are audited; customers get no message."""
NOTIFICATIONS = topic(topics_pb2.NOTIFICATIONS).name
AUDIT_LOGS = topic(topics_pb2.AUDIT_LOGS).name
GROUP = "router"


class RouterSettings(ServiceSettings):
    """Settings of one router process; environment variables have the prefix BP_."""

    service: str = "router"
    batch_rows_max: int = 2000
    """The largest number of source events in one transaction."""
    batch_linger_ms: int = 200
    """How long events gather before they are routed. A longer wait means fewer transactions, and
    each transaction writes a marker to every partition that it touched."""
    transaction_timeout_ms: int = 15_000
    """After this time the broker aborts the transaction of a process that has died."""
