"""NotificationsService: what the calling customer was told."""

import uuid
from typing import Any

from bp.notifications.v1 import notifications_service_pb2 as pb

from services.chassis.call_context import current_call
from services.chassis.page_tokens import DEFAULT_PAGE_SIZE, PageTokens, query_digest
from services.notifications import mapping
from services.notifications.store import Store

_END = uuid.UUID(int=2**128 - 1)


class NotificationsApi:
    """bp.notifications.v1.NotificationsService."""

    def __init__(self, store: Store, tokens: PageTokens) -> None:
        self._store = store
        self._tokens = tokens

    async def list_notifications(
        self, request: pb.ListNotificationsRequest, _: Any
    ) -> pb.ListNotificationsResponse:
        """List the caller's messages, newest first."""
        customer_id = current_call.get().customer_id
        size = request.page_size or DEFAULT_PAGE_SIZE
        filters = query_digest("ListNotifications", customer_id)
        cursor = self._tokens.open(request.page_token, filters) or _END
        rows = await self._store.list_of_customer(customer_id, cursor, size + 1)
        shown = [mapping.to_proto(row) for row in rows[:size]]
        response = pb.ListNotificationsResponse(notifications=shown)
        if len(rows) > size:
            last = rows[size - 1]["notification_id"]
            response.next_page_token = self._tokens.seal(filters, last)
        return response
