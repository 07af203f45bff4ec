"""Real grpc.aio servers behind the sidecars; answers are built from the request."""

import asyncio
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
from bp.auth.v1 import auth_service_pb2 as auth
from bp.auth.v1 import auth_service_pb2_grpc as auth_grpc
from bp.customers.v1 import customers_service_pb2 as customers
from bp.customers.v1 import customers_service_pb2_grpc as customers_grpc
from bp.payments.v1 import interbank_transfer_pb2 as transfer_pb2
from bp.payments.v1 import payments_service_pb2 as payments
from bp.payments.v1 import payments_service_pb2_grpc as payments_grpc
from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from services.chassis.status import to_status, trailing_metadata
from services.kernel.errors import StepUpRequired

_State = transfer_pb2.InterbankTransfer.State

ETAG = '"2"'
"""The entity tag of each transfer that is read."""


class Seen:
    """The request and metadata of the last call, and the number of calls."""

    def __init__(self) -> None:
        self.metadata: dict[str, str] = {}
        self.request: Any = None
        self.calls = 0
        self.release = asyncio.Event()
        """Ends the wait of transfers with the memo "held"."""

    def note(self, request: Any, context: Any) -> None:
        """Record a call's request and metadata."""
        self.request, self.calls = request, self.calls + 1
        self.metadata = {key: str(value) for key, value in context.invocation_metadata()}


class Payments(payments_grpc.PaymentsServiceServicer):
    """Accepts every transfer; certain memos trigger an error."""

    def __init__(self, seen: Seen) -> None:
        self.seen = seen

    async def CreateInterbankTransfer(self, request: Any, context: Any) -> Any:
        self.seen.note(request, context)
        if request.memo == "unavailable":
            await _abort(context, grpc.StatusCode.UNAVAILABLE, 14, "ACH_UNAVAILABLE", retry_s=7)
        if request.memo == "held":
            await self.seen.release.wait()
        if request.memo == "no funds":
            await _abort(context, grpc.StatusCode.INVALID_ARGUMENT, 3, "INSUFFICIENT_FUNDS")
        if request.memo == "no customer":
            await _abort(context, grpc.StatusCode.UNAUTHENTICATED, 16, "UNAUTHENTICATED")
        if request.memo == "no second factor":
            await _abort_for_step_up(context)
        if request.memo == "bare":
            await context.abort(grpc.StatusCode.INTERNAL, "Traceback: secret")
        return payments.CreateInterbankTransferResponse(
            transfer=transfer_pb2.InterbankTransfer(
                transfer_id="0190a8a0-0000-7000-8000-000000000001",
                account_id=request.account_id,
                amount=request.amount,
                beneficiary=request.beneficiary,
                memo=request.memo,
                state=_State.SUBMITTED,
                trace_number="123456789012345",
            )
        )

    async def GetInterbankTransfer(self, request: Any, context: Any) -> Any:
        self.seen.note(request, context)
        if request.transfer_id == "missing":
            await _abort(context, grpc.StatusCode.NOT_FOUND, 5, "TRANSFER_NOT_FOUND")
        await context.send_initial_metadata((("etag", ETAG),))
        return payments.GetInterbankTransferResponse(
            transfer=transfer_pb2.InterbankTransfer(transfer_id=request.transfer_id, etag=ETAG)
        )

    async def CancelInterbankTransfer(self, request: Any, context: Any) -> Any:
        self.seen.note(request, context)
        return payments.CancelInterbankTransferResponse(
            transfer=transfer_pb2.InterbankTransfer(
                transfer_id=request.transfer_id, state=_State.CANCELLED
            )
        )

    async def ListInterbankTransfers(self, request: Any, context: Any) -> Any:
        self.seen.note(request, context)
        return payments.ListInterbankTransfersResponse(
            transfers=[
                transfer_pb2.InterbankTransfer(transfer_id=str(i), memo="m" * 80)
                for i in range(request.page_size)
            ]
        )

    async def ReceiveAchWebhook(self, request: Any, context: Any) -> Any:
        self.seen.note(request, context)
        return payments.ReceiveAchWebhookResponse()


class Customers(customers_grpc.CustomersServiceServicer):
    """Answers balances and checks."""

    def __init__(self, seen: Seen) -> None:
        self.seen = seen

    async def GetBalance(self, request: Any, context: Any) -> Any:
        self.seen.note(request, context)
        if request.account_id == "slow":
            await asyncio.sleep(3600)
        response = customers.GetBalanceResponse()
        response.balance.account_id = request.account_id
        response.balance.available.currency_code = "USD"
        response.balance.available.minor_units = 9007199254740993
        response.balance.position = request.at_least_position
        return response

    async def CheckDebit(self, request: Any, context: Any) -> Any:
        self.seen.note(request, context)
        return customers.CheckDebitResponse()


class Auth(auth_grpc.AuthServiceServicer):
    """Starts every login session, except with the password "wrong"; accepts every code and
    picture."""

    def __init__(self, seen: Seen) -> None:
        self.seen = seen

    async def Login(self, request: Any, context: Any) -> Any:
        self.seen.note(request, context)
        if request.password == "wrong":
            await _abort(context, grpc.StatusCode.UNAUTHENTICATED, 16, "CREDENTIALS_INVALID")
        return auth.LoginResponse(session_id="s", require_mfa=True)

    async def VerifyOtp(self, request: Any, context: Any) -> Any:
        self.seen.note(request, context)
        return auth.VerifyOtpResponse(session_id="s")

    async def VerifyBiometric(self, request: Any, context: Any) -> Any:
        self.seen.note(request, context)
        return auth.VerifyBiometricResponse(token_type="Bearer")


async def _abort_for_step_up(context: Any) -> None:
    error = StepUpRequired(max_age_s="300", required_for="NEW_BENEFICIARY")
    status = to_status(error)
    trailers = tuple(trailing_metadata(error, status))
    await context.abort(grpc.StatusCode.UNAUTHENTICATED, error.message, trailers)


async def _abort(
    context: Any, code: grpc.StatusCode, number: int, reason: str, *, retry_s: int = 0
) -> None:
    details = [any_pb2.Any(), any_pb2.Any()]
    details[0].Pack(error_details_pb2.ErrorInfo(reason=reason, domain="bp.payments.v1"))
    details[1].Pack(error_details_pb2.RetryInfo(retry_delay=duration_pb2.Duration(seconds=retry_s)))
    kept = details if retry_s else details[:1]
    status = status_pb2.Status(code=number, message="The transfer failed.", details=kept)
    trailing = list(rpc_status.to_status(status).trailing_metadata or ())
    if retry_s:
        trailing.append(("retry-after", str(retry_s)))
    await context.abort(code, status.message, tuple(trailing))


async def serve(socket: Path, *servicers: Payments | Customers | Auth) -> grpc.aio.Server:
    """Serve on a Unix socket, as the bank's services do."""
    server = grpc.aio.server()
    for servicer in servicers:
        if isinstance(servicer, Payments):
            payments_grpc.add_PaymentsServiceServicer_to_server(servicer, server)
        elif isinstance(servicer, Auth):
            auth_grpc.add_AuthServiceServicer_to_server(servicer, server)
        else:
            customers_grpc.add_CustomersServiceServicer_to_server(servicer, server)
    server.add_insecure_port(f"unix:{socket}")
    await server.start()
    return server
