"""AuditService: reads of the log."""

import uuid
from typing import Any

from bp.audit.v1 import audit_service_pb2 as pb

from services.audit import mapping
from services.audit.chain import AuditRow
from services.audit.errors import ChainUnknown
from services.audit.settings import CHAINS
from services.audit.store import Store
from services.chassis.page_tokens import DEFAULT_PAGE_SIZE, PageTokens, query_digest

_BEGINNING = uuid.UUID(int=0)
_CHAIN = 2**64


class AuditApi:
    """bp.audit.v1.AuditService."""

    def __init__(self, store: Store, tokens: PageTokens) -> None:
        self._store = store
        self._tokens = tokens

    async def list_audit_records(
        self, request: pb.ListAuditRecordsRequest, _: Any
    ) -> pb.ListAuditRecordsResponse:
        """List a subject's records, or a chain's when no subject is given."""
        if not request.subject and not 0 <= request.chain < CHAINS:
            raise ChainUnknown
        size = request.page_size or DEFAULT_PAGE_SIZE
        filters = query_digest("ListAuditRecords", request.subject or request.chain)
        cursor = self._tokens.open(request.page_token, filters) or _BEGINNING
        rows = await self._rows(request, cursor, size + 1)
        response = pb.ListAuditRecordsResponse(
            audit_records=[mapping.to_proto(row) for row in rows[:size]]
        )
        if len(rows) > size:
            response.next_page_token = self._tokens.seal(filters, _cursor(rows[size - 1]))
        return response

    async def _rows(
        self, request: pb.ListAuditRecordsRequest, cursor: uuid.UUID, count: int
    ) -> list[AuditRow]:
        if request.subject:
            chain, sequence = divmod(cursor.int, _CHAIN)
            return await self._store.list_by_subject(request.subject, chain, sequence, count)
        return await self._store.list_by_chain(request.chain, cursor.int % _CHAIN, count)


def _cursor(last: AuditRow) -> uuid.UUID:
    """Return where the next page goes on: chain and sequence in one number."""
    return uuid.UUID(int=last.chain * _CHAIN + last.sequence)
