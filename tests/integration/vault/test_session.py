"""Tokens are renewed in time, and a service that lost its token logs in anew by itself."""

import asyncio
from pathlib import Path

import hvac

from sandbox.stack.testing import RunningStack
from services.chassis.settings import ServiceSettings
from services.chassis.vault import Vault

SECRET = "external/fraud"


def session(openbao: RunningStack, renew_s: float) -> Vault:
    """A session of payments that renews every so often."""
    settings = ServiceSettings.model_validate(
        {
            "service": "payments",
            "home": openbao.home.root,
            "socket_in": Path("unused"),
            "openbao_addr": openbao.addresses["BP_OPENBAO_ADDR"],
            "service_account_token_file": openbao.home.run / "payments" / "token",
        }
    )
    return Vault(settings, renew_s)


def as_operator(openbao: RunningStack, token: str) -> hvac.Client:
    """A client with a token that a session uses."""
    return hvac.Client(url=openbao.addresses["BP_OPENBAO_ADDR"], token=token)


async def test_a_token_lives_an_hour_and_is_renewed(openbao: RunningStack) -> None:
    vault = session(openbao, renew_s=1.2)
    await vault.login()
    client = as_operator(openbao, vault.token)
    assert client.auth.token.lookup_self()["data"]["creation_ttl"] == 3600
    renewing = asyncio.create_task(vault.keep_alive())
    try:
        async with asyncio.timeout(20):
            while (found := client.auth.token.lookup_self()["data"])["ttl"] < 3600 or (
                "last_renewal_time" not in found
            ):
                await asyncio.sleep(0.05)
    finally:
        renewing.cancel()


async def test_a_revoked_token_is_replaced_by_a_full_login_when_a_secret_is_read(
    openbao: RunningStack,
) -> None:
    vault = session(openbao, renew_s=3600)
    await vault.login()
    lost = vault.token
    as_operator(openbao, lost).auth.token.revoke_self()
    assert (await vault.secret(SECRET))["bearer_token"]
    assert vault.token != lost


async def test_a_token_that_can_not_be_renewed_is_replaced_in_the_background(
    openbao: RunningStack,
) -> None:
    vault = session(openbao, renew_s=0.05)
    await vault.login()
    lost = vault.token
    as_operator(openbao, lost).auth.token.revoke_self()
    renewing = asyncio.create_task(vault.keep_alive())
    try:
        async with asyncio.timeout(20):
            while vault.token == lost:
                await asyncio.sleep(0.02)
    finally:
        renewing.cancel()
    assert as_operator(openbao, vault.token).auth.token.lookup_self()["data"]["ttl"] > 0
