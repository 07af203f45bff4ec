"""bp.payments.v1.PaymentsService: map in, handle, map out."""

import time
import uuid
from typing import Any

from bp.payments.v1 import payments_service_pb2 as pb
from bp.payments.v1.interbank_transfer_pb2 import InterbankTransfer

from services.chassis.call_context import current_call
from services.payments import handlers, mapping, webhook
from services.payments.handlers import Dependencies


class PaymentsApi:
    """The RPCs; policy, rules and errors are the boundary's."""

    def __init__(self, deps: Dependencies, webhook_secret: bytes) -> None:
        self._deps = deps
        self._webhook_secret = webhook_secret

    async def create_interbank_transfer(
        self, request: pb.CreateInterbankTransferRequest, _context: Any
    ) -> pb.CreateInterbankTransferResponse:
        """Debit and submit."""
        order = mapping.order_from(request, current_call.get())
        answer = await handlers.create_transfer(self._deps, order)
        return pb.CreateInterbankTransferResponse.FromString(answer)

    async def get_interbank_transfer(
        self, request: pb.GetInterbankTransferRequest, _context: Any
    ) -> pb.GetInterbankTransferResponse:
        """Read one."""
        transfer = await handlers.get_transfer(
            self._deps, current_call.get().customer_id, uuid.UUID(request.transfer_id)
        )
        return pb.GetInterbankTransferResponse(transfer=mapping.transfer_message(transfer))

    async def list_interbank_transfers(
        self, request: pb.ListInterbankTransfersRequest, _context: Any
    ) -> pb.ListInterbankTransfersResponse:
        """List an account's."""
        page, token = await handlers.list_transfers(
            self._deps,
            current_call.get().customer_id,
            uuid.UUID(request.account_id),
            state=InterbankTransfer.State.Name(request.state) if request.state else None,
            page_size=request.page_size,
            page_token=request.page_token,
        )
        transfers = [mapping.transfer_message(transfer) for transfer in page]
        return pb.ListInterbankTransfersResponse(transfers=transfers, next_page_token=token)

    async def cancel_interbank_transfer(
        self, request: pb.CancelInterbankTransferRequest, _context: Any
    ) -> pb.CancelInterbankTransferResponse:
        """Cancel one."""
        transfer = await handlers.cancel_transfer(
            self._deps, current_call.get().customer_id, uuid.UUID(request.transfer_id)
        )
        return pb.CancelInterbankTransferResponse(transfer=mapping.transfer_message(transfer))

    async def receive_ach_webhook(
        self, request: pb.ReceiveAchWebhookRequest, _context: Any
    ) -> pb.ReceiveAchWebhookResponse:
        """Apply a notice of the clearing house, then acknowledge it."""
        body = request.body.data
        signature = current_call.get().metadata.get("ach-signature", "")
        webhook.require_signature(signature, body, self._webhook_secret, int(time.time()))
        await handlers.receive_notice(self._deps, webhook.read_notice(body))
        return pb.ReceiveAchWebhookResponse()
