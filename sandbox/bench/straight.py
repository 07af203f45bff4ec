"""A service without its sidecars' way to other services: calls go straight to their sockets.

The production process, started with one thing exchanged: a channel to a service leads to that
service's own socket, and says who calls in the header that its sidecar would have written. Calls
to partners go out as ever.
"""

import os
import runpy

import grpc.aio

from services.chassis import grpc_client
from services.chassis.calls import Call
from services.chassis.settings import ServiceSettings

RUN = "BP_BENCH_RUN"
"""Environment variable with the folder in which each service has one of its name."""

_onward = grpc_client.onward


def identity_of(service: str) -> str:
    """Return what a sidecar writes into x-forwarded-client-cert for a caller."""
    return f"URI=spiffe://bp.internal/ns/bp/sa/{service}"


def channel_to(service: str, settings: ServiceSettings) -> grpc.aio.Channel:
    """Return a channel to a service's own socket, in clear text."""
    options = [("grpc.default_authority", service), ("grpc.max_reconnect_backoff_ms", 1000)]
    socket = f"{os.environ[RUN]}/{service}/in-0.sock"
    return grpc.aio.insecure_channel(f"unix:{socket}", options=options)


def onward(call: Call) -> tuple[tuple[str, str], ...]:
    """Return what goes along, with the name of this service."""
    return (*_onward(call), ("x-forwarded-client-cert", identity_of(os.environ["BP_SERVICE"])))


def main() -> None:
    """Exchange the channel, then run the service that BP_SERVICE names."""
    # Before the service's modules take the names from this one.
    grpc_client.channel_to = channel_to
    grpc_client.onward = onward
    runpy.run_module(f"services.{os.environ['BP_SERVICE']}", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
