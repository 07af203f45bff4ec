"""The process of a service that calls other services without sidecars.

It is the production process with one change: a channel to a service connects to that service's own
socket, and each call carries the caller's identity in the header that a sidecar would write. Calls
to partners still use the sidecar. It imports nothing else of the bench.
"""

import os
import runpy

import grpc.aio

from services.chassis import grpc_client
from services.chassis.call_context import Call
from services.chassis.settings import ServiceSettings
from services.kernel import identities

RUN = "BP_BENCH_RUN"
"""Environment variable with the folder that holds each service's socket folder."""

_onward = grpc_client.onward


def identity_of(service: str) -> str:
    """Return the value of x-forwarded-client-cert that a sidecar writes for a caller."""
    return f"URI={identities.spiffe_id(service)}"


def channel_to(service: str, settings: ServiceSettings) -> grpc.aio.Channel:
    """Return a plaintext channel to a service's own socket."""
    options = [("grpc.default_authority", service), ("grpc.max_reconnect_backoff_ms", 1000)]
    socket = f"{os.environ[RUN]}/{service}/in-0.sock"
    return grpc.aio.insecure_channel(f"unix:{socket}", options=options)


def onward(call: Call) -> tuple[tuple[str, str], ...]:
    """Return the metadata of an outgoing call, with the identity of this service."""
    return (*_onward(call), ("x-forwarded-client-cert", identity_of(os.environ["BP_SERVICE"])))


def main() -> None:
    """Replace the channel, then run the service that BP_SERVICE names."""
    # This must happen before the service's modules import these names.
    grpc_client.channel_to = channel_to
    grpc_client.onward = onward
    runpy.run_module(f"services.{os.environ['BP_SERVICE']}", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
