"""bp.notifications.v1.NotificationsService: map in, handle, map out."""

from typing import Any

from bp.notifications.v1 import notifications_service_pb2 as pb

from services.chassis.call_context import current_call
from services.notifications import handlers, mapping
from services.notifications.handlers import Dependencies


class NotificationsApi:
    """The service's RPCs."""

    def __init__(self, deps: Dependencies) -> None:
        self._deps = deps

    async def list_notifications(
        self, request: pb.ListNotificationsRequest, _: Any
    ) -> pb.ListNotificationsResponse:
        """List the caller's messages, newest first."""
        notifications, token = await handlers.list_notifications(
            self._deps, current_call.get().customer_id, request.page_size, request.page_token
        )
        return pb.ListNotificationsResponse(
            notifications=map(mapping.notification_message, notifications), next_page_token=token
        )
