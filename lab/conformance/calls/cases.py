"""The calls, and what was answered: one line each, the same for both control planes.

The caller's service calls through the Unix socket of its proxy, as it does in the bank.
"""

from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import grpc

from lab.conformance.calls.machine import CALLED, CALLER, PARTNER, Machine
from lab.conformance.calls.outside import Outside
from ops.waiting import scaled_s, until

_CUSTOMERS = "/bp.customers.v1.CustomersService"
GRANTED = f"{_CUSTOMERS}/CheckDebit"
OF_OTHERS = f"{_CUSTOMERS}/BatchGetLocales"
UNKNOWN = f"{_CUSTOMERS}/Unknown"
_FORGED = "By=x;URI=spiffe://bp.internal/ns/bp/sa/gateway"
_READY_S = 60
_CALL_S = 90
_FAILURES_OPEN = 10

Answers = dict[str, str]


async def answers(machine: Machine, outside: Outside) -> Answers:
    """Make all calls; return the answer by what was called."""
    outgoing = machine.socket(CALLER, "out")
    await _ready(outgoing)
    outside.tries.clear()
    return {**await _services(outgoing, outside), **await _partners(outgoing, outside)}


async def _services(outgoing: Path, outside: Outside) -> Answers:
    options = [("grpc.default_authority", CALLED), ("grpc.enable_retries", 0)]
    async with grpc.aio.insecure_channel(f"unix:{outgoing}", options=options) as channel:
        granted = await _status(channel, GRANTED)
        seen = ", ".join(outside.callers)
        forged = await _status(channel, GRANTED, ("x-forwarded-client-cert", _FORGED))
        return {
            "a granted method": f"{granted}, the service sees {seen}",
            "a forged identity": f"{forged}, the service sees {', '.join(outside.callers)}",
            "a method of another caller": await _status(channel, OF_OTHERS),
            "a method outside the contract": await _status(channel, UNKNOWN),
            "a service that does not answer": await _status(channel, GRANTED, ("x-silent", "1")),
        }


async def _partners(outgoing: Path, outside: Outside) -> Answers:
    async def asked(host: str, behaviour: str, name: str) -> str:
        status = await _http(outgoing, host, f"/{behaviour}/{name}")
        return f"{status} after {outside.tries[name]} tries"

    found = {
        "a host outside the Sidecar": str(await _http(outgoing, "auth", "/x/y")),
        "an unknown host": str(await _http(outgoing, "unknown.example", "/x/y")),
        "a partner": await asked(PARTNER, "well", "one"),
        "a partner that fails once": await asked(PARTNER, "once", "two"),
        "a partner that always fails": await asked(PARTNER, "failing", "three"),
        "a partner that does not answer": await asked(PARTNER, "silent", "four"),
    }
    for number in range(_FAILURES_OPEN):
        await asked(PARTNER, "failing", f"more-{number}")
    found["a partner behind an open breaker"] = await asked(PARTNER, "well", "last")
    return found


async def _status(channel: grpc.aio.Channel, path: str, *metadata: tuple[str, str]) -> str:
    call = channel.unary_unary(path, request_serializer=bytes, response_deserializer=bytes)
    try:
        await call(b"", metadata=metadata, timeout=scaled_s(_CALL_S))
    except grpc.aio.AioRpcError as error:
        return error.code().name
    return "OK"


async def _http(outgoing: Path, host: str, path: str) -> int:
    connector = aiohttp.UnixConnector(str(outgoing))
    limit = aiohttp.ClientTimeout(scaled_s(_CALL_S))
    async with (
        aiohttp.ClientSession(connector=connector, timeout=limit) as session,
        session.post(f"http://{host}{path}") as answer,
    ):
        return answer.status


async def _ready(outgoing: Path) -> None:
    """Wait until a service and a partner can be called."""

    async def called() -> bool:
        options = [("grpc.default_authority", CALLED), ("grpc.enable_retries", 0)]
        async with grpc.aio.insecure_channel(f"unix:{outgoing}", options=options) as channel:
            return await _status(channel, GRANTED) == "OK"

    async def partner() -> bool:
        return await _http(outgoing, PARTNER, "/well/ready") == 200

    for each in (called, partner):
        await until(_quiet(each), _READY_S, f"{each.__name__} through the proxy")


def _quiet(each: Callable[[], Awaitable[bool]]) -> Callable[[], Awaitable[bool]]:
    async def asked() -> bool:
        try:
            return await each()
        except (TimeoutError, aiohttp.ClientError, OSError):
            return False

    return asked
