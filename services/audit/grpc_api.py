"""bp.audit.v1.AuditService: map in, handle, map out."""

from typing import Any

from bp.audit.v1 import audit_service_pb2 as pb

from services.audit import handlers, mapping
from services.audit.handlers import Dependencies


class AuditApi:
    """The service's RPCs."""

    def __init__(self, deps: Dependencies) -> None:
        self._deps = deps

    async def list_audit_records(
        self, request: pb.ListAuditRecordsRequest, _: Any
    ) -> pb.ListAuditRecordsResponse:
        """List a subject's records, or a chain's when no subject is given."""
        rows, token = await handlers.list_audit_records(
            self._deps, request.subject, request.chain, request.page_size, request.page_token
        )
        return pb.ListAuditRecordsResponse(
            audit_records=map(mapping.record_message, rows), next_page_token=token
        )
