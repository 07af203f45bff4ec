"""bp.payments.v1.PaymentsService: map in, handle, map out."""

import uuid
from typing import Any

from bp.payments.v1 import payments_service_pb2 as pb

from services.chassis.call_context import current_call, note_etag
from services.chassis.step_up import unmet_rule
from services.chassis.time_texts import time_range
from services.payments import handlers, mapping
from services.payments.dependencies import Dependencies


class PaymentsApi:
    """The service's RPCs."""

    def __init__(self, deps: Dependencies) -> None:
        self._deps = deps

    async def create_interbank_transfer(
        self, request: pb.CreateInterbankTransferRequest, _: Any
    ) -> pb.CreateInterbankTransferResponse:
        """Debit the caller's account and submit the transfer to the clearing house."""
        order = mapping.order_from(request, current_call.get())
        answer = await handlers.create_interbank_transfer(
            self._deps, order, unmet_rule(current_call.get())
        )
        return pb.CreateInterbankTransferResponse.FromString(answer)

    async def get_interbank_transfer(
        self, request: pb.GetInterbankTransferRequest, _: Any
    ) -> pb.GetInterbankTransferResponse:
        """Read one transfer of the caller."""
        transfer = await handlers.get_interbank_transfer(
            self._deps, current_call.get().customer_id, uuid.UUID(request.transfer_id)
        )
        note_etag(mapping.etag(transfer))
        return pb.GetInterbankTransferResponse(transfer=mapping.transfer_message(transfer))

    async def list_interbank_transfers(
        self, request: pb.ListInterbankTransfersRequest, _: Any
    ) -> pb.ListInterbankTransfersResponse:
        """List what one account of the caller paid."""
        transfers, token = await handlers.list_interbank_transfers(
            self._deps,
            current_call.get().customer_id,
            uuid.UUID(request.account_id),
            state=mapping.state_from(request),
            created=time_range(request.create_time_from, request.create_time_to),
            page_size=request.page_size,
            page_token=request.page_token,
        )
        return pb.ListInterbankTransfersResponse(
            transfers=map(mapping.transfer_message, transfers), next_page_token=token
        )

    async def cancel_interbank_transfer(
        self, request: pb.CancelInterbankTransferRequest, _: Any
    ) -> pb.CancelInterbankTransferResponse:
        """Cancel one transfer of the caller."""
        transfer = await handlers.cancel_interbank_transfer(
            self._deps, current_call.get().customer_id, uuid.UUID(request.transfer_id)
        )
        return pb.CancelInterbankTransferResponse(transfer=mapping.transfer_message(transfer))

    async def receive_ach_webhook(
        self, request: pb.ReceiveAchWebhookRequest, _: Any
    ) -> pb.ReceiveAchWebhookResponse:
        """Keep and apply a notice of the clearing house, then acknowledge it."""
        signature = current_call.get().metadata.get("ach-signature", "")
        await handlers.receive_ach_webhook(self._deps, signature, request.body.data)
        return pb.ReceiveAchWebhookResponse()
