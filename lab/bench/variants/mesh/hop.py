"""What one pass through a sidecar costs, part by part.

One caller sends `CheckDebit` through the sidecar of payments to that of customers, so each call
makes two passes. A variant leaves one part out of both sidecars; the part costs the difference.
Only the CPU of the two Envoys counts, with the kernel's work for their sockets.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any

import grpc.aio
from bp.customers.v1 import customers_service_pb2 as messages
from bp.customers.v1 import customers_service_pb2_grpc as stubs

from lab.bench.bench import Bench
from lab.bench.meters import cpu
from lab.bench.test_bench import TestBench
from lab.bench.variants.no_sidecar_service import identity_of
from ops.waiting import scaled_s
from sandbox.seed import people
from sandbox.stack import pinning

SIDECARS = ("payments", "customers")
"""The sidecar of the caller and that of the called service."""
PASSES = len(SIDECARS)
ROUNDS = 2
WARM_UP_S, SECONDS = 2.0, 8.0
QUICK_WARM_UP_S, QUICK_SECONDS = 0.5, 1.5
AT_ONCE = 32
WIDTHS = (1, 8, 32, 128)
"""Calls at once. With more of them, an Envoy that wakes up has more to do."""
DEADLINE_S = 10.0

Content = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Variant:
    """A part that is left out, and how."""

    name: str
    manager: Callable[[Content], None]
    """Changes an HTTP connection manager in place."""
    plaintext: bool = False


def _nothing(manager: Content) -> None:
    del manager


def _no_counters(manager: Content) -> None:
    manager["access_log"] = [
        one for one in manager["access_log"] if one["name"] != "envoy.access_loggers.stats"
    ]


def _no_log(manager: Content) -> None:
    manager["access_log"] = []


def _router_alone(manager: Content) -> None:
    manager["http_filters"] = manager["http_filters"][-1:]
    for host in manager["route_config"]["virtual_hosts"]:
        for route in host["routes"]:
            route.pop("typed_per_filter_config", None)


def _bare(manager: Content) -> None:
    _no_log(manager)
    _router_alone(manager)


def _bare_plaintext(manager: Content) -> None:
    _bare(manager)
    manager["forward_client_cert_details"] = "ALWAYS_FORWARD_ONLY"


VARIANTS = (
    Variant("all", _nothing),
    Variant("no_counters", _no_counters),
    Variant("no_log_and_counters", _no_log),
    Variant("no_authorisation", _router_alone),
    Variant("router_and_mtls", _bare),
    Variant("router", _bare_plaintext, plaintext=True),
)


async def hop(bench: Bench) -> None:
    """Measure a pass with each number of calls at once, then each variant in turn."""
    request = _request()
    spent: dict[str, list[float]] = {}
    for width in WIDTHS:
        bench.say(f"a pass, {width} calls at once")
        spent[f"c{width}"] = [await _pass_us(bench, request, width)]
    for number in range(1 if bench.scale.quick else ROUNDS):
        for variant in VARIANTS:
            bench.say(f"a pass, {variant.name}, round {number + 1}")
            with_it = await _pinned(bench, variant, request)
            spent.setdefault(variant.name, []).append(with_it)
    bench.found.figures |= figures(spent)
    bench.found.details["hop"] = spent


def figures(spent: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Return the mean CPU of a pass by width and variant, in µs."""
    return {f"hop.{name}_us": round(mean(every), 1) for name, every in spent.items()}


async def _pinned(bench: Bench, variant: Variant, request: messages.CheckDebitRequest) -> float:
    stack = bench.test_bench.stack

    def listeners(content: Content) -> Content:
        return without(content, variant)

    def clusters(content: Content) -> Content:
        return in_plaintext(content) if variant.plaintext else content

    try:
        for sidecar in SIDECARS:
            await asyncio.to_thread(pinning.pin, stack.home, sidecar, listeners, clusters)
            await asyncio.to_thread(stack.restart, f"{sidecar}-sidecar")
        return await _pass_us(bench, request, AT_ONCE)
    finally:
        for sidecar in SIDECARS:
            await asyncio.to_thread(pinning.unpin, stack.home, sidecar)
            await asyncio.to_thread(stack.restart, f"{sidecar}-sidecar")


def without(listeners: Content, variant: Variant) -> Content:
    """Leave the variant's part out of all listeners; return them."""
    for listener in listeners["resources"]:
        for chain in listener["filter_chains"]:
            variant.manager(chain["filters"][0]["typed_config"])
            if variant.plaintext:
                chain.pop("transport_socket", None)
    listeners["version_info"] += f"-{variant.name}"
    return listeners


def in_plaintext(clusters: Content) -> Content:
    """Leave TLS out of the cluster of the called service; return all clusters."""
    called = f"service/{SIDECARS[1]}"
    for cluster in clusters["resources"]:
        if cluster["name"] == called:
            cluster.pop("transport_socket", None)
    clusters["version_info"] += "-plaintext"
    return clusters


def _request() -> messages.CheckDebitRequest:
    name = next(people.load_people(1)).user_name
    return messages.CheckDebitRequest(
        customer_id=str(people.customer_id(name)), account_id=str(people.account_id(name))
    )


async def _pass_us(bench: Bench, request: messages.CheckDebitRequest, at_once: int) -> float:
    """Return the CPU of the two Envoys for a pass of each call."""
    quick = bench.scale.quick
    warm_up_s = QUICK_WARM_UP_S if quick else WARM_UP_S
    seconds = QUICK_SECONDS if quick else SECONDS
    socket = bench.test_bench.stack.home.run / SIDECARS[0] / "out.sock"
    options = [("grpc.default_authority", SIDECARS[1])]
    async with grpc.aio.insecure_channel(f"unix:{socket}", options=options) as channel:
        client = stubs.CustomersServiceStub(channel)
        await _call(client, request, at_once, warm_up_s)
        before_s = _cpu_s(bench.test_bench)
        calls = await _call(client, request, at_once, seconds)
        spent_s = _cpu_s(bench.test_bench) - before_s
    return 1e6 * spent_s / (PASSES * calls)


async def _call(
    client: stubs.CustomersServiceStub,
    request: messages.CheckDebitRequest,
    at_once: int,
    seconds: float,
) -> int:
    """Keep `at_once` calls in flight for some seconds; return how many were answered."""
    ends = time.monotonic() + seconds
    # Only the variant without mTLS reads it; a sidecar replaces it otherwise.
    identity = (("x-forwarded-client-cert", identity_of(SIDECARS[0])),)

    async def caller() -> int:
        answered = 0
        while time.monotonic() < ends:
            answer = await client.CheckDebit(
                request, timeout=scaled_s(DEADLINE_S), metadata=identity
            )
            if not answer.HasField("account"):
                raise ValueError("the account of the bench does not exist")
            answered += 1
        return answered

    return sum(await asyncio.gather(*(caller() for _ in range(at_once))))


def _cpu_s(test_bench: TestBench) -> float:
    pids = test_bench.pids()
    return sum(cpu.process_s(pids[f"{sidecar}-sidecar"]) for sidecar in SIDECARS)
