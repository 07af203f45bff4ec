"""A gRPC server on a Unix socket that only the sidecar reaches: start, health and drain."""

import asyncio
import gc
import os
import signal
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

import grpc
import grpc.aio
import structlog
import uvloop
from google.protobuf import message_factory
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from services import contracts
from services.chassis import boundary, telemetry, uncaught
from services.chassis.revocations import RevokedSessions
from services.chassis.settings import ServiceSettings
from services.contracts import Audience, MethodContract

GC_OBJECTS = 20_000
"""New objects between two runs of the garbage collector."""

METADATA_BYTES_MAX = 65_536
"""More than the gateway admits (16 KiB): gRPC would refuse larger metadata without a reason."""

DRAIN_S = 10
"""How long calls in flight may take after SIGTERM."""

KEEPALIVE_S, KEEPALIVE_TIMEOUT_S = 30.0, 10.0
"""A connection without traffic is checked after the first time, and ends after the second without
an answer: a sidecar that hangs would otherwise keep it, and all that it has not read."""

log = structlog.get_logger()


def _snake(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() and i else c.lower() for i, c in enumerate(name))


def _method_handler(
    method: MethodDescriptor,
    api: object,
    contract: MethodContract,
    limit: boundary.CallLimit,
    revoked: RevokedSessions,
) -> "grpc.RpcMethodHandler[Any, Any]":
    request = message_factory.GetMessageClass(method.input_type)
    response = message_factory.GetMessageClass(method.output_type)
    handler = boundary.guarded(contract, getattr(api, _snake(method.name)), limit, revoked)
    return grpc.unary_unary_rpc_method_handler(
        cast("Any", handler),
        request_deserializer=boundary.reader(request),
        response_serializer=response.SerializeToString,
    )


def _service_handler(
    service: ServiceDescriptor,
    api: object,
    methods: Mapping[str, MethodContract],
    limits: Mapping[Audience, boundary.CallLimit],
    revoked: RevokedSessions,
) -> grpc.GenericRpcHandler:
    contracts_of = {m.name: methods[f"/{service.full_name}/{m.name}"] for m in service.methods}
    handlers = {
        m.name: _method_handler(
            m, api, contracts_of[m.name], limits[contracts_of[m.name].audience], revoked
        )
        for m in service.methods
    }
    return grpc.method_handlers_generic_handler(service.full_name, handlers)


def _refuse_customers(
    apis: Mapping[ServiceDescriptor, object], methods: Mapping[str, MethodContract]
) -> None:
    """Raise ValueError if an API has a method for customers."""
    served = {service.full_name for service in apis}
    for contract in methods.values():
        if contract.audience is Audience.CUSTOMER and contract.service in served:
            raise ValueError(f"{contract.path} is for customers; pass the revoked sessions")


def _options() -> list[tuple[str, int]]:
    timeout_ms = round(1000 * KEEPALIVE_TIMEOUT_S)
    return [
        ("grpc.so_reuseport", 0),
        ("grpc.max_metadata_size", METADATA_BYTES_MAX),
        ("grpc.keepalive_time_ms", round(1000 * KEEPALIVE_S)),
        ("grpc.keepalive_timeout_ms", timeout_ms),
        # Without it, gRPC waits a minute for the answer to a ping.
        ("grpc.http2.ping_timeout_ms", timeout_ms),
        ("grpc.keepalive_permit_without_calls", 1),
    ]


class Server:
    """The server of one process: an API object for each service of the contracts, and health."""

    def __init__(
        self,
        settings: ServiceSettings,
        apis: Mapping[ServiceDescriptor, object],
        revoked: RevokedSessions | None = None,
    ) -> None:
        """`revoked` is required if a method is for customers; raises ValueError without it."""
        methods = contracts.load()
        if revoked is None:
            _refuse_customers(apis, methods)
        # Not `or`: a set without entries is false, and the feed fills it later.
        known = RevokedSessions() if revoked is None else revoked
        self._settings = settings
        self._server = grpc.aio.server(options=_options())
        self._health = cast("Any", health).aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        limits = {one: boundary.CallLimit(settings.calls_max) for one in Audience}
        handlers = tuple(
            _service_handler(service, api, methods, limits, known) for service, api in apis.items()
        )
        self._server.add_generic_rpc_handlers(handlers)

    async def start(self) -> None:
        """Listen and report SERVING."""
        path = self._settings.socket_in
        path.unlink(missing_ok=True)
        os.umask(0o077)
        self._server.add_insecure_port(f"unix:{path}")
        await self._server.start()
        await self._health.set("", health_pb2.HealthCheckResponse.SERVING)
        log.info("server.serving", socket=path.name)

    async def drain(self) -> None:
        """Report NOT_SERVING, wait for the calls in flight, stop."""
        await self._health.enter_graceful_shutdown()
        await self._server.stop(DRAIN_S)


async def _serve_until_stopped(
    settings: ServiceSettings, main: Callable[[ServiceSettings, asyncio.Event], Awaitable[None]]
) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    uncaught.log_errors_of(loop)
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    await main(settings, stop)


def run(
    settings: ServiceSettings, main: Callable[[ServiceSettings, asyncio.Event], Awaitable[None]]
) -> None:
    """Run a service's main coroutine on uvloop until SIGTERM; `main` returns when `stop` is set.

    An error of `main` is logged, and the process ends with exit code 1.
    """
    telemetry.configure(settings.service, settings.slot, settings.log_level)
    uncaught.log_uncaught()
    # Objects made at start live as long as the process, so no collection needs to scan them.
    gc.collect()
    gc.freeze()
    # Calls leave few reference cycles, and the default thresholds would search for them every few
    # calls.
    gc.set_threshold(GC_OBJECTS, 20, 50)
    uvloop.run(_serve_until_stopped(settings, main))
