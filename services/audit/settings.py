"""Settings of the audit service."""

from pathlib import Path

from bp.audit.v1.audit_events_pb2 import AuditEvent
from pydantic import Field

from services.chassis.settings import ServiceSettings
from services.contracts.topics import read_by, topic_of

GROUP = "audit"
(TOPIC,) = read_by(GROUP)
CHAINS = topic_of(AuditEvent).partitions
"""Each partition of the topic is a chain."""
HEADS_FOLDER = "audit-heads"
"""The folder of the signed heads in the machine's state directory."""


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
    sign_s: float = Field(default=60, gt=0)
    """Pause between two signatures of the heads."""
    heads_folder: Path | None = None
    """Where signed heads are kept, on another disk than the database if possible. All processes of
    the service must share it. Empty means `audit-heads` in the state directory."""
    topic_margin_days: int = Field(default=7, ge=0)
    """How long audit-logs keeps an event that is recorded and signed."""

    @property
    def heads(self) -> Path:
        """The folder of the signed heads."""
        return self.heads_folder or self.home / HEADS_FOLDER
