"""Settings of the router: how large a transaction may grow and how long it may wait."""

from bp.event.v1 import topics_pb2
from pydantic import Field

from services.chassis.settings import ServiceSettings
from services.contracts.topics import all_topics, read_by, topic

GROUP = "router"
SOURCES = read_by(GROUP)
"""Topics that the router reads."""
NOTIFICATIONS = topic(topics_pb2.NOTIFICATIONS).name
AUDIT_LOGS = topic(topics_pb2.AUDIT_LOGS).name
TRIMMED = tuple(each for each in all_topics() if each.name != AUDIT_LOGS)
"""The router deletes old records of these topics; the audit service does so for audit-logs."""


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
    topic_margin_days: int = Field(default=7, ge=0)
    """How long a topic keeps a record that all its groups have read."""
