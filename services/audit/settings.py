"""Audit's knobs."""

from services.chassis.settings import ServiceSettings

TOPIC = "audit-logs"
GROUP = "audit"
CHAINS = 12
"""Partitions of audit-logs; each is a chain."""


class Settings(ServiceSettings):
    """Settings of one audit process."""

    service: str = "audit"
    pool_size: int = 3
    """One connection writes, the others serve reads."""
    batch_rows_max: int = 2000
    """Records in one transaction."""
    batch_linger_ms: int = 200
    """How long records gather before they are written; nobody waits for the log."""
    partitions_ahead_months: int = 3
    """How many months of the log have their partition ready."""
