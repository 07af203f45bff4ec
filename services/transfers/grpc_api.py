"""bp.transfers.v1.TransfersService: map in, handle, map out."""

import uuid
from typing import Any

from bp.transfers.v1 import transfers_service_pb2 as pb

from services.chassis.call_context import current_call
from services.chassis.step_up import unmet_rule
from services.transfers import handlers, mapping
from services.transfers.handlers import Dependencies


class TransfersApi:
    """The service's RPCs."""

    def __init__(self, deps: Dependencies) -> None:
        self._deps = deps

    async def create_book_transfer(
        self, request: pb.CreateBookTransferRequest, _: Any
    ) -> pb.CreateBookTransferResponse:
        """Move money between two accounts of the bank, immediately."""
        order = mapping.order_from(request, current_call.get())
        answer = await handlers.create_book_transfer(
            self._deps, order, unmet_rule(current_call.get())
        )
        return pb.CreateBookTransferResponse.FromString(answer)

    async def get_book_transfer(
        self, request: pb.GetBookTransferRequest, _: Any
    ) -> pb.GetBookTransferResponse:
        """Read one transfer of the caller."""
        transfer = await handlers.get_book_transfer(
            self._deps, current_call.get().customer_id, uuid.UUID(request.transfer_id)
        )
        return pb.GetBookTransferResponse(transfer=mapping.transfer_message(transfer))

    async def list_book_transfers(
        self, request: pb.ListBookTransfersRequest, _: Any
    ) -> pb.ListBookTransfersResponse:
        """List what one account of the caller paid or received."""
        transfers, token = await handlers.list_book_transfers(
            self._deps,
            current_call.get().customer_id,
            mapping.transfer_filter(request),
            page_size=request.page_size,
            page_token=request.page_token,
        )
        return pb.ListBookTransfersResponse(
            transfers=map(mapping.transfer_message, transfers), next_page_token=token
        )

    async def list_entries(self, request: pb.ListEntriesRequest, _: Any) -> pb.ListEntriesResponse:
        """List the entries of one account of the caller."""
        entries, token = await handlers.list_entries(
            self._deps,
            current_call.get().customer_id,
            mapping.entry_filter(request),
            page_size=request.page_size,
            page_token=request.page_token,
        )
        return pb.ListEntriesResponse(
            entries=map(mapping.entry_message, entries), next_page_token=token
        )
