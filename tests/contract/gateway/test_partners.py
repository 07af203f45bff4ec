"""Partners at the gateway: their identity is the one in their certificate, whatever they send."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from tests.contract.gateway.http2 import connected, head, request
from tests.rigs.mesh.gateway import Answer, Gateway

PATH, PARTNER = "/v1/webhooks/ach", "spiffe://ach-network.example/webhooks"
OTHER = "spiffe://other.example/webhooks"
BURST = 1000
"""Size of a partner's bucket for notices (mesh/config/gateway.yaml)."""


def _certificate(gateway: Gateway, uri: str) -> str:
    name = uri.split("/")[2]
    gateway.rig.partner_ca.issue(gateway.rig.home / "partners" / name, uri=uri)
    return name


async def _notice(gateway: Gateway, client: str | None, headers: dict[str, str]) -> Answer:
    context = gateway.trusting(client)
    kind = {"Content-Type": "application/json"}
    return await gateway.call("POST", PATH, data=b"{}", ssl=context, headers=kind | headers)


@pytest.mark.parametrize("sent", ["other", "ach-network", ""])
async def test_the_partners_name_comes_from_its_certificate(gateway: Gateway, sent: str) -> None:
    answer = await _notice(gateway, _certificate(gateway, PARTNER), {"x-bp-partner": sent})
    assert answer.status == 200
    assert gateway.seen.metadata["x-bp-partner"] == "ach-network"


async def test_a_caller_that_names_itself_a_partner_gains_nothing(gateway: Gateway) -> None:
    calls = gateway.seen.calls
    for client in (None, _certificate(gateway, OTHER)):
        answer = await _notice(gateway, client, {"x-bp-partner": "ach-network"})
        assert (answer.status, answer.reason) == (403, "CALLER_FORBIDDEN")
    assert gateway.seen.calls == calls
    answer = await gateway.call("GET", "/v1/balances/a", headers={"x-bp-partner": "ach-network"})
    assert answer.status == 200
    assert "x-bp-partner" not in gateway.seen.metadata


async def test_a_partner_has_one_bucket_for_all_its_addresses(gateway: Gateway) -> None:
    """Thirty addresses send a hundred notices each: more than the bucket has in total."""
    client = _certificate(gateway, PARTNER)
    fields = head(gateway, "POST", PATH, "content-type", "application/json")
    streams = range(1, 201, 2)
    notices = b"".join(request(stream, fields) for stream in streams)
    async with AsyncExitStack() as opened:
        connections = [
            await opened.enter_async_context(connected(gateway, client, f"127.0.1.{host}"))
            for host in range(1, 31)
        ]
        for connection in connections:
            connection.writer.write(notices)
        found = await asyncio.gather(*(one.answers(streams) for one in connections))
    answers = [answer for each in found for answer in each]
    refused = [answer for answer in answers if answer.status == 429]
    assert refused
    assert len(refused) <= len(answers) - BURST
    assert {answer.reason for answer in refused} == {"RATE_LIMITED"}
