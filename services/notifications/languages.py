"""Asks customers for the language in which each customer gets messages."""

import uuid
from collections.abc import Callable, Collection, Coroutine, Mapping
from typing import Any

import grpc.aio
import structlog
from bp.customers.v1.customers_service_pb2 import BatchGetLocalesRequest, BatchGetLocalesResponse
from bp.customers.v1.customers_service_pb2_grpc import CustomersServiceStub

WITHIN_S = 2.0
"""Longest wait for the languages of a batch of messages."""

Languages = Callable[[Collection[uuid.UUID]], Coroutine[Any, Any, Mapping[uuid.UUID, str]]]
"""Ids of customers -> the languages of the customers that are known."""

log = structlog.get_logger()


class CustomersLanguages:
    """The client of customers.

    A message in the device's language is better than a late message. So if the service does not
    answer, messages are in the language of the device.
    """

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = CustomersServiceStub(channel)

    async def of(self, customer_ids: Collection[uuid.UUID]) -> Mapping[uuid.UUID, str]:
        """Return the languages of customers; none if the service does not answer.

        During a release, an earlier version of the service does not have the call yet.
        """
        if not customer_ids:
            return {}
        request = BatchGetLocalesRequest(customer_ids=[str(one) for one in customer_ids])
        try:
            answer: BatchGetLocalesResponse = await self._stub.BatchGetLocales(
                request, timeout=WITHIN_S
            )
        except grpc.aio.AioRpcError as error:
            log.warning("languages.unknown", code=error.code().name)
            return {}
        return {uuid.UUID(one): locale for one, locale in answer.locales.items()}
