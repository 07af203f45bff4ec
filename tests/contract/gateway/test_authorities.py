"""Each authority vouches only for its own side: one partner's server, or the webhook clients."""

import ssl
from collections.abc import AsyncIterator

import aiohttp
import pytest

from ops.waiting import until
from tests.rigs.mesh.gateway import SUBJECT, Gateway
from tests.rigs.mesh.issuer import Issuer
from tests.rigs.mesh.pki import Authority
from tests.rigs.mesh.proxies import Rig
from tests.rigs.mesh.tls import client_context

KEY_SERVER = "oauth.example"
CLUSTER = f"cluster.partner/{KEY_SERVER}"
FETCHED_S = 20.0


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    made = Rig()
    yield made
    await made.close()


def authority(rig: Rig, name: str) -> Authority:
    others = {"webhook clients": rig.partner_ca, "ach members": rig.ach_members_ca}
    return others.get(name) or rig.server_ca[name]


@pytest.mark.parametrize(
    ("issued_by", "accepted"),
    [("oauth", True), ("webhook clients", False), ("fraud", False), ("ach-network-client", False)],
)
async def test_keys_are_fetched_only_from_a_server_that_the_providers_authority_vouches_for(
    rig: Rig, issued_by: str, accepted: bool
) -> None:
    issuer, folder = Issuer(), rig.home / "partners" / KEY_SERVER
    authority(rig, issued_by).issue(folder, dns=(KEY_SERVER,))
    await issuer.start(rig.partner_port[KEY_SERVER], folder)
    try:
        await rig.start(["gateway"])
        connector = aiohttp.TCPConnector(ssl=client_context(rig.mesh_ca.pem))
        url = f"https://localhost:{rig.gateway_port}/v1/balances/a"
        headers = {"Authorization": f"Bearer {issuer.token(SUBJECT)}"}
        async with aiohttp.ClientSession(connector=connector) as session:

            async def decided() -> dict[str, int] | None:
                async with session.get(url, headers=headers) as answer:
                    assert answer.status == 503  # without keys, or without the service
                found = await rig.stats("gateway", f"partner/{KEY_SERVER}.")
                verified = found[f"{CLUSTER}.ssl.fail_verify_error"]
                return found if verified or found[f"{CLUSTER}.ssl.handshake"] else None

            found = await until(decided, FETCHED_S, "the gateway connects to the key server")
    finally:
        await issuer.close()
    assert bool(found[f"{CLUSTER}.ssl.handshake"]) == accepted
    assert bool(found[f"{CLUSTER}.ssl.fail_verify_error"]) != accepted


@pytest.mark.parametrize("issued_by", ["oauth", "ach-network-client", "ach members"])
async def test_a_webhook_clients_certificate_from_another_authority_ends_the_handshake(
    gateway: Gateway, issued_by: str
) -> None:
    folder = gateway.rig.home / "partners" / f"forged-by-{issued_by.replace(' ', '-')}"
    authority(gateway.rig, issued_by).issue(folder, uri="spiffe://ach-network.example/webhooks")
    with pytest.raises((aiohttp.ClientError, ssl.SSLError, OSError)):
        await gateway.call(
            "POST", "/v1/webhooks/ach", data=b"{}", ssl=gateway.trusting(folder.name)
        )
