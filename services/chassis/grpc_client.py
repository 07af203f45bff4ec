"""Channels to other services, through the sidecar's Unix socket; the sidecar adds mTLS."""

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

import grpc.aio

from services.chassis.call_context import Call
from services.chassis.settings import ServiceSettings
from services.kernel.errors import DependencyUnavailable

Answer = TypeVar("Answer")


def channel_to(service: str, settings: ServiceSettings) -> grpc.aio.Channel:
    """Return a channel to a service by its plain name, such as "customers"."""
    options: list[tuple[str, Any]] = [
        ("grpc.default_authority", service),
        ("grpc.max_reconnect_backoff_ms", 1000),
    ]
    return grpc.aio.insecure_channel(f"unix:{settings.socket_out}", options=options)


def onward(call: Call) -> tuple[tuple[str, str], ...]:
    """Return the metadata to pass to the next service: request id and trace context."""
    pairs = (("x-request-id", call.request_id), ("traceparent", call.traceparent))
    return tuple((name, value) for name, value in pairs if value)


async def answered_within(answer: Awaitable[Answer], seconds: float) -> Answer:
    """Return another service's answer; raise DependencyUnavailable if it takes longer.

    The limit includes the time in the caller's own queue. A limit on the RPC alone would let the
    call's deadline pass while earlier questions block the queue.
    """
    try:
        async with asyncio.timeout(seconds):
            return await answer
    except TimeoutError:
        raise DependencyUnavailable from None
