"""The process of the baseline: a payments service that does one durable debit and nothing else.

It uses the same socket, gRPC server and interceptors as payments, behind the same gateway and
sidecar. It writes to its own database in the same cluster, so the bank's books do not change. It
imports nothing else of the bench, which would add to its memory and its start.
"""

import asyncio
import dataclasses
import uuid
from typing import Any, NoReturn

import asyncpg
from bp.payments.v1 import payments_service_pb2 as pb
from bp.payments.v1.interbank_transfer_pb2 import InterbankTransfer

from services.chassis import postgres
from services.chassis.grpc_server import Server, run
from services.chassis.revocations import RevokedSessions
from services.chassis.settings import ServiceSettings
from services.chassis.vault import open_vault
from services.kernel.errors import DependencyUnavailable
from services.kernel.ids import new_id, shard_of
from services.ledger.api import QUERIES_FILE

DATABASE = "bp_bench_baseline"
SERVICE = pb.DESCRIPTOR.services_by_name["PaymentsService"]


class BaselineApi:
    """Implements one method; all others return UNAVAILABLE."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._debit = postgres.load_queries(QUERIES_FILE).debit_to_internal

    async def create_interbank_transfer(
        self, request: pb.CreateInterbankTransferRequest, _context: Any
    ) -> pb.CreateInterbankTransferResponse:
        """Debit the account and return the transfer."""
        account_id = uuid.UUID(request.account_id)
        transfer_id = new_id(shard_of(account_id))
        amount = request.amount
        await self._pool.fetch(
            self._debit,
            transfer_id,
            "BENCH_BASELINE",
            transfer_id,
            account_id,
            amount.currency_code,
            amount.minor_units,
            "ACH_CLEARING",
        )
        return pb.CreateInterbankTransferResponse(
            transfer=InterbankTransfer(
                transfer_id=str(transfer_id), account_id=request.account_id, amount=amount
            )
        )

    async def _away(self, _request: Any, _context: Any) -> NoReturn:
        raise DependencyUnavailable

    get_interbank_transfer = list_interbank_transfers = _away
    cancel_interbank_transfer = receive_ach_webhook = _away


async def main(settings: ServiceSettings, stop: asyncio.Event) -> None:
    """Serve until `stop` is set."""
    vault = await open_vault(settings)
    database = postgres.Database.from_secret(await vault.secret("database/postgres/payments"))
    database = dataclasses.replace(database, database=DATABASE)
    pool = await postgres.open_pool(database, "bench-baseline", settings.pool_connections)
    async with pool:
        server = Server(settings, {SERVICE: BaselineApi(pool)}, RevokedSessions())
        await server.start()
        await stop.wait()
        await server.drain()


if __name__ == "__main__":
    run(ServiceSettings(), main)  # pyright: ignore[reportCallIssue]
