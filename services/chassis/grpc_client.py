"""Channels to other services, through the sidecar's Unix socket; mTLS is the sidecar's work."""

from typing import Any

import grpc.aio

from services.chassis.calls import Call
from services.chassis.settings import ServiceSettings


def channel_to(service: str, settings: ServiceSettings) -> grpc.aio.Channel:
    """Return a channel to a service by its plain name, such as "customers"."""
    options: list[tuple[str, Any]] = [
        ("grpc.default_authority", service),
        ("grpc.max_reconnect_backoff_ms", 1000),
    ]
    return grpc.aio.insecure_channel(f"unix:{settings.socket_out}", options=options)


def onward(call: Call) -> tuple[tuple[str, str], ...]:
    """Return the metadata that goes along to the next service: request id and trace context."""
    pairs = (("x-request-id", call.request_id), ("traceparent", call.traceparent))
    return tuple((name, value) for name, value in pairs if value)
