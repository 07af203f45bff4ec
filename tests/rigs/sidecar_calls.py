"""Calls with the metadata that sidecars add: the caller's identity and the token's claims."""

import time
import uuid
from collections.abc import Sequence
from typing import Any

import grpc
import grpc.aio
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from ops.waiting import scaled_s
from services.kernel.identities import spiffe_id

SESSION = "01938a5e-7a10-7c3e-9d52-3f0b6c1e8a2a"
SCOPES = "accounts:read transfers:read transfers:write"


def certificate_of(service: str) -> tuple[str, str]:
    """The header that a sidecar sets for a caller's certificate."""
    return "x-forwarded-client-cert", f"URI={spiffe_id(service)}"


def from_customer(
    customer_id: uuid.UUID, key: str = "", scopes: str = SCOPES, factor_age_s: int = 0
) -> tuple[tuple[str, str], ...]:
    """Metadata of a customer's call through the gateway, `factor_age_s` after a second factor."""
    pairs = [
        certificate_of("gateway"),
        ("x-bp-subject", str(customer_id)),
        ("x-bp-scope", scopes),
        ("x-bp-session", SESSION),
        ("x-bp-auth-time", str(int(time.time()) - factor_age_s)),
        ("x-request-id", str(uuid.uuid4())),
    ]
    return tuple(pairs + ([("idempotency-key", key)] if key else []))


def open_channel(socket: str, *identity: tuple[str, str]) -> grpc.aio.Channel:
    """Open a new connection to a Unix socket; `identity` is added to each call."""
    options: list[tuple[str, Any]] = [("grpc.use_local_subchannel_pool", 1)]
    return grpc.aio.insecure_channel(
        f"unix:{socket}", options=options, interceptors=[_Sidecar(identity)] if identity else None
    )


class _Sidecar(grpc.aio.UnaryUnaryClientInterceptor):
    """Adds the metadata that the sidecars between two services add."""

    def __init__(self, pairs: Sequence[tuple[str, str]]) -> None:
        self._pairs = pairs

    async def intercept_unary_unary(
        self, continuation: Any, client_call_details: Any, request: Any
    ) -> Any:
        metadata = grpc.aio.Metadata(*(client_call_details.metadata or ()), *self._pairs)
        return await continuation(client_call_details._replace(metadata=metadata), request)


async def raw_call(channel: grpc.aio.Channel, path: str, request: Message, metadata: Any) -> bytes:
    """Send one unary call; return the raw body."""
    method = channel.unary_unary(path, request_serializer=type(request).SerializeToString)
    return await method(request, metadata=metadata, timeout=scaled_s(20))


def reason_of(error: grpc.aio.AioRpcError) -> str:
    """Return the reason in a refusal's ErrorInfo."""
    trailers = dict(error.trailing_metadata() or ())
    details = trailers["grpc-status-details-bin"]
    assert isinstance(details, bytes)
    status = status_pb2.Status.FromString(details)
    for detail in status.details:
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info):
            return info.reason
    return ""


async def refusal(call: Any) -> tuple[grpc.StatusCode, str]:
    """Await a call that must be refused; return its code and reason."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return error.code(), reason_of(error)
    raise AssertionError("the call was not refused")
