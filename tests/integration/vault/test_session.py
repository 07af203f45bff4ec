"""Tokens are renewed in time, and a service that lost its token logs in again."""

import asyncio
from datetime import datetime
from pathlib import Path
from typing import Any

import hvac

from ops.waiting import until
from sandbox.stack.testing import RunningStack
from services.chassis.settings import ServiceSettings
from services.chassis.vault import Vault

SECRET = "external/fraud"
HOUR_S = 3600


def session(stack_openbao: RunningStack, renew_s: float) -> Vault:
    """A session of payments that renews its token every `renew_s` seconds."""
    settings = ServiceSettings.model_validate(
        {
            "service": "payments",
            "home": stack_openbao.home.root,
            "socket_in": Path("unused"),
            "openbao_addr": stack_openbao.addresses["BP_OPENBAO_PRIVATE_ADDR"],
            "service_account_token_file": stack_openbao.home.run / "payments" / "token",
        }
    )
    return Vault(settings, renew_s)


def as_operator(stack_openbao: RunningStack, token: str) -> hvac.Client:
    """A client with a token that a session uses."""
    return hvac.Client(url=stack_openbao.addresses["BP_OPENBAO_ADDR"], token=token)


async def test_a_token_lives_an_hour_and_is_renewed(stack_openbao: RunningStack) -> None:
    vault = session(stack_openbao, renew_s=1.2)
    await vault.login()
    client = as_operator(stack_openbao, vault.token)

    def looked_up() -> dict[str, Any]:
        return client.auth.token.lookup_self()["data"]

    made = looked_up()
    assert made["creation_ttl"] == HOUR_S

    async def renewed() -> dict[str, Any] | None:
        found = await asyncio.to_thread(looked_up)
        return found if found.get("last_renewal_time") else None

    renewing = asyncio.create_task(vault.keep_alive())
    try:
        found = await until(renewed, 20, "the token is renewed")
    finally:
        renewing.cancel()
    expires = datetime.fromisoformat(found["expire_time"])
    assert expires > datetime.fromisoformat(made["expire_time"])
    assert int(expires.timestamp()) - found["last_renewal_time"] == HOUR_S


async def test_a_revoked_token_is_replaced_by_a_full_login_when_a_secret_is_read(
    stack_openbao: RunningStack,
) -> None:
    vault = session(stack_openbao, renew_s=3600)
    await vault.login()
    lost = vault.token
    as_operator(stack_openbao, lost).auth.token.revoke_self()
    assert (await vault.secret(SECRET))["bearer_token"]
    assert vault.token != lost


async def test_a_token_that_can_not_be_renewed_is_replaced_in_the_background(
    stack_openbao: RunningStack,
) -> None:
    vault = session(stack_openbao, renew_s=0.05)
    await vault.login()
    lost = vault.token

    async def replaced() -> bool:
        return vault.token != lost

    as_operator(stack_openbao, lost).auth.token.revoke_self()
    renewing = asyncio.create_task(vault.keep_alive())
    try:
        await until(replaced, 20, "the token is replaced")
    finally:
        renewing.cancel()
    assert as_operator(stack_openbao, vault.token).auth.token.lookup_self()["data"]["ttl"] > 0
