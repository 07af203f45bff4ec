"""The router's knobs: how large a transaction may grow and how long it may wait."""

from bp.event.v1 import topics_pb2

from services.chassis.settings import ServiceSettings
from services.contracts.topics import topic

SOURCES = tuple(
    topic(one).name for one in (topics_pb2.PAYMENTS, topics_pb2.TRANSFERS, topics_pb2.AUTH_EVENTS)
)
"""Topics that are read. `auth-events` is audited and tells customers nothing yet."""
NOTIFICATIONS = topic(topics_pb2.NOTIFICATIONS).name
AUDIT_LOGS = topic(topics_pb2.AUDIT_LOGS).name
GROUP = "router"


class Settings(ServiceSettings):
    """Settings of one router process."""

    service: str = "router"
    batch_rows_max: int = 2000
    """Source events in one transaction."""
    batch_linger_ms: int = 200
    """How long events gather before they are routed: the price in latency of fewer transactions,
    each of which writes a marker to every partition it touched."""
    transaction_timeout_ms: int = 15_000
    """After this the broker aborts a transaction whose process is gone."""
