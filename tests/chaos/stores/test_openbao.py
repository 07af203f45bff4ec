"""While OpenBao is sealed, running services keep working and starting services wait; afterwards
certificates are renewed."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from ops.provision.bao_client import BaoClient, BaoError
from ops.waiting import until
from sandbox.stack.certs import CHECK_EVERY_S, CertAgent, swap_in
from sandbox.stack.testing import RunningStack
from services.kernel.identities import spiffe_id
from tests.chaos.stores.load import load
from tests.rigs.running_bank import Bank

STARTER = "transfers"
SHORT_LIVED = "notifications"
LIFE_S = 270
"""Seconds from issue to expiry of the short-lived certificate. Its validity begins five minutes
before the issue, so more than half of it has passed already and a renewal is due."""


def _keys(stack: RunningStack) -> dict[str, Any]:
    return json.loads(Path(stack.addresses["BP_OPENBAO_KEYS_FILE"]).read_text())


def _as_operator(stack: RunningStack) -> BaoClient:
    return BaoClient(stack.addresses["BP_OPENBAO_ADDR"], _keys(stack)["root_token"])


@asynccontextmanager
async def _sealed(stack: RunningStack) -> AsyncGenerator[None]:
    async with _as_operator(stack) as bao:
        await bao.write("sys/seal")
        try:
            yield
        finally:
            await bao.write("sys/unseal", key=_keys(stack)["keys_base64"][0])


def _expires(stack: RunningStack, name: str) -> datetime:
    pem = (stack.home.certs / name / "cert.pem").read_bytes()
    return x509.load_pem_x509_certificate(pem).not_valid_after_utc


async def _give_short_lived_certificate(stack: RunningStack) -> datetime:
    """Give a sidecar a certificate that is due for renewal. Return its expiry time."""
    async with _as_operator(stack) as bao:
        uri = spiffe_id(SHORT_LIVED)
        answer = await bao.write(f"pki/issue/{SHORT_LIVED}", uri_sans=uri, ttl=f"{LIFE_S}s")
    swap_in(stack.home.certs / SHORT_LIVED, answer["data"])
    return _expires(stack, SHORT_LIVED)


async def _waits_for_openbao(stack: RunningStack, killed: int) -> int:
    """Wait until the killed service has restarted and waits for OpenBao. Return its pid."""
    begun = stack.log(STARTER).count("vault.waiting")

    async def waiting() -> int | None:
        pid = stack.pid(STARTER)
        told = stack.log(STARTER).count("vault.waiting") >= begun + 4
        return pid if told and pid != killed else None

    return await until(waiting, 20, f"{STARTER} waits")


async def test_while_sealed_running_services_work_and_starting_ones_wait(
    bank: Bank,
) -> None:
    stack = bank.stack
    ana, luis = await bank.customer(), await bank.customer()
    agent = CertAgent(stack.home, stack.addresses["BP_OPENBAO_ADDR"], _issuer_key(stack))
    async with load(bank) as paying:
        expires = await _give_short_lived_certificate(stack)
        async with _sealed(stack):
            killed = await asyncio.to_thread(stack.kill, STARTER)
            waiting = await _waits_for_openbao(stack, killed)
            refused = await bank.book(ana, luis, 1_00)
            assert (refused.status, refused.reason) == (503, "DEPENDENCY_UNAVAILABLE")
            with pytest.raises(BaoError, match="503"):
                await agent.renew_due()
            await paying.more(20)
        assert await asyncio.to_thread(stack.wait_ready, STARTER) == waiting
        await _served(bank, ana, luis)
        await _renewed(stack)
        assert _written(stack, SHORT_LIVED) < expires, "it was renewed before it expired"
        await paying.more(10)
    assert not paying.refusals, "running services must not need OpenBao"
    await paying.assert_whole()


def _written(stack: RunningStack, name: str) -> datetime:
    """Return the time at which the current certificate was written."""
    file = stack.home.certs / name / "cert.pem"
    return datetime.fromtimestamp(file.stat().st_mtime, UTC)


def _issuer_key(stack: RunningStack) -> str:
    return stack.credentials.service_account_issuer_key


async def _served(bank: Bank, ana: Any, luis: Any) -> None:
    async def booked() -> bool:
        return (await bank.book(ana, luis, 1_00)).status == 200

    await until(booked, 15, "book transfers work again")


async def _renewed(stack: RunningStack) -> None:
    """Wait until the supervisor's own agent renews the certificate."""

    async def long_again() -> bool:
        return (_expires(stack, SHORT_LIVED) - datetime.now(UTC)).total_seconds() > 1800

    await until(long_again, CHECK_EVERY_S + 10, "the certificate is renewed")
