"""Releases events of audit-logs for deletion: those that are recorded and signed.

An event is deleted when a signed head covers its record, the group has committed it, and it is
older than a margin, which verification uses to compare the log with the topic. The deletion itself
is in services/chassis/kafka/retention.py.
"""

import asyncio
from datetime import timedelta

from bp.audit.v1.audit_events_pb2 import AuditEvent

from services.audit.head_files import HeadStore
from services.chassis.kafka import Trimmer
from services.contracts.topics import topic_of


class LogTrimmer:
    """Deletes settled events of audit-logs."""

    def __init__(self, bootstrap: str, heads: HeadStore, margin: timedelta) -> None:
        self._trimmer = Trimmer(bootstrap, margin)
        self._heads = heads

    async def trim(self) -> dict[int, int]:
        """Delete settled events; return each changed partition with its new first offset.

        Raises ConnectionError when Kafka cannot be reached.
        """
        last = await asyncio.to_thread(self._heads.last)
        if last is None:
            return {}
        signed = {head.chain: head.log_offset + 1 for head in last.statement.heads}
        changed = await self._trimmer.trim([topic_of(AuditEvent)], signed)
        return {number: end for (_, number), end in changed.items()}
