"""Hundreds of requests, generated from the OpenAPI document and the descriptors. `make fuzz` sends
more."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from lab.fuzz import document, rpcs
from lab.fuzz.log_leaks import secrets_of
from lab.fuzz.mesh import Mesh
from tests.fuzz.wire import require_silence
from tests.rigs.logins import valkey
from tests.rigs.running_bank import Bank

pytestmark = pytest.mark.judged_with_its_module

BALANCE = 10_000_000_00
CASES_AT_LEAST = 400
LINKS_AT_LEAST = 10
SEED = 20261124
UNGUESSABLE = {
    "ReceiveAchWebhook",
    "ReceiveSmsReceipt",
    "ChangePassword",
    "RegisterDeviceKey",
    "VerifyBiometric",
    "ConfirmTotp",
    "RemoveTotp",
    "ResetPassword",
    "VerifyOtp",
    "ResendOtp",
}
"""Methods that need a signature, a face, a code, an open session or half a minute: no generator can
guess them."""


@pytest_asyncio.fixture(autouse=True)
async def forgotten_tries(bank: Bank) -> AsyncIterator[None]:
    """Forget the wrong passwords and resets that the fuzzer sent from the address of all tests."""
    yield
    async with valkey(bank) as client:
        for pattern in ("tries:a:*", "resets:a:*"):
            async for key in client.scan_iter(pattern):
                await client.delete(key)


async def test_the_gateway_does_what_its_document_says(bank: Bank, tmp_path: Path) -> None:
    people = [await bank.customer(BALANCE) for _ in range(3)]
    await bank.login_identity(people[0])
    tally = await asyncio.to_thread(
        document.run, bank.stack, people, seed=SEED, examples=8, folder=tmp_path
    )
    assert tally.sound, "\n".join([*map(str, tally.findings[:10]), *tally.errors[:10]])
    assert tally.requests >= CASES_AT_LEAST
    assert tally.followed_links >= LINKS_AT_LEAST
    assert tally.answers["200"] > CASES_AT_LEAST // 20
    require_silence(bank, *(person.token for person in people))


async def test_every_rpc_answers_as_the_contract_says(bank: Bank) -> None:
    customer, payee = await bank.customer(BALANCE), await bank.customer(0)
    ids = await rpcs.ids_of(bank, customer, payee)
    mesh, refused = Mesh(bank.stack), set[str]()
    try:
        for contract in rpcs.methods():
            tally = await asyncio.to_thread(
                rpcs.attack, mesh, contract, customer, ids, examples=30, seed=SEED
            )
            assert tally.calls >= 30, contract.path
            refused |= set() if tally.answers["OK"] else {contract.name}
    finally:
        mesh.close()
    # If a method refuses every request, the generated requests prove nothing.
    assert refused == UNGUESSABLE
    require_silence(bank, *secrets_of([customer, payee], ids))
