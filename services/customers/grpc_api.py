"""bp.customers.v1.CustomersService: map in, handle, map out."""

import uuid
from typing import Any

from bp.customers.v1 import customers_service_pb2 as pb

from services.chassis.call_context import current_call
from services.customers import handlers, mapping
from services.customers.handlers import Dependencies


class CustomersApi:
    """The service's RPCs."""

    def __init__(self, deps: Dependencies) -> None:
        self._deps = deps

    async def get_me(self, request: pb.GetMeRequest, _: Any) -> pb.GetMeResponse:
        """Read the calling customer."""
        customer = await handlers.get_me(self._deps, current_call.get().customer_id)
        return pb.GetMeResponse(customer=mapping.customer_message(customer))

    async def list_accounts(
        self, request: pb.ListAccountsRequest, _: Any
    ) -> pb.ListAccountsResponse:
        """List the caller's accounts."""
        accounts, token = await handlers.list_accounts(
            self._deps,
            current_call.get().customer_id,
            page_size=request.page_size,
            page_token=request.page_token,
        )
        return pb.ListAccountsResponse(
            accounts=[
                mapping.own_account_message(account, self._deps.settings.routing_number)
                for account in accounts
            ],
            next_page_token=token,
        )

    async def get_balance(self, request: pb.GetBalanceRequest, _: Any) -> pb.GetBalanceResponse:
        """Read one balance of the caller."""
        balance = await handlers.get_balance(
            self._deps,
            current_call.get().customer_id,
            uuid.UUID(request.account_id),
            request.at_least_position,
        )
        return pb.GetBalanceResponse(balance=mapping.balance_message(balance))

    async def check_debit(self, request: pb.CheckDebitRequest, _: Any) -> pb.CheckDebitResponse:
        """Read the accounts of a planned debit."""
        checked = await handlers.check_debit(self._deps, mapping.planned_debit(request))
        return mapping.check_message(checked)

    async def batch_check_debits(
        self, request: pb.BatchCheckDebitsRequest, _: Any
    ) -> pb.BatchCheckDebitsResponse:
        """Read the accounts of several planned debits."""
        debits = [mapping.planned_debit(check) for check in request.requests]
        checked = await handlers.batch_check_debits(self._deps, debits)
        return pb.BatchCheckDebitsResponse(responses=map(mapping.check_message, checked))

    async def batch_get_locales(
        self, request: pb.BatchGetLocalesRequest, _: Any
    ) -> pb.BatchGetLocalesResponse:
        """Read the languages of several customers."""
        ids = {uuid.UUID(customer_id) for customer_id in request.customer_ids}
        locales = await handlers.batch_get_locales(self._deps, ids)
        return pb.BatchGetLocalesResponse(locales={str(k): v for k, v in locales.items()})

    async def batch_get_holders(
        self, request: pb.BatchGetHoldersRequest, _: Any
    ) -> pb.BatchGetHoldersResponse:
        """Read the holders of several accounts."""
        ids = {uuid.UUID(account_id) for account_id in request.account_ids}
        holders = await handlers.batch_get_holders(self._deps, ids)
        return pb.BatchGetHoldersResponse(
            holders={str(k): mapping.holder_message(v) for k, v in holders.items()}
        )
