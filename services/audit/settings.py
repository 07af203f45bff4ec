"""Settings of the audit service."""

from bp.audit.v1.audit_events_pb2 import AuditEvent

from services.chassis.settings import ServiceSettings
from services.contracts.topics import topic_of

TOPIC = topic_of(AuditEvent).name
GROUP = "audit"
CHAINS = topic_of(AuditEvent).partitions
"""Each partition of the topic is a chain."""


class AuditSettings(ServiceSettings):
    """Settings of one audit process; environment variables have the prefix BP_."""

    service: str = "audit"
    pool_connections: int = 3
    """One connection writes, the others serve reads."""
    batch_rows_max: int = 2000
    """The largest number of records in one transaction."""
    batch_linger_ms: int = 250
    """How long records gather before they are written; no caller waits for the log."""
    partitions_ahead_months: int = 3
    """How many months ahead the log has its partitions."""
