"""Ciphertexts belong to one customer and field, and only auth can make or read them."""

import uuid

import hvac.exceptions
import pytest

from services.auth.sealing import KEY, Field, Plain, SealBroken, Sealed, Sealer
from services.chassis.unreachable import is_unreachable
from services.chassis.vault import Vault
from tests.rigs.stores import OpenBaoStore

KEYS = {"blind_index_key": "0a" * 32}
PICTURE = bytes(range(256)) * 5_800
"""1.48 MB, about the largest picture."""


@pytest.fixture
def sealer(vault: Vault) -> Sealer:
    """Auth's sealer."""
    return Sealer(vault, KEYS)


@pytest.mark.parametrize("value", [b"", b"+15550001111", PICTURE], ids=["empty", "phone", "face"])
async def test_a_value_is_read_back_only_for_its_customer_and_field(
    sealer: Sealer, value: bytes
) -> None:
    ana, luis = uuid.uuid4(), uuid.uuid4()
    sealed = await sealer.seal(ana, Field.PHONE, value)
    assert len(sealed) < 3 * 2**20
    assert await sealer.unseal(ana, Field.PHONE, sealed) == value
    for customer_id, kind in ((luis, Field.PHONE), (ana, Field.EMAIL)):
        with pytest.raises(SealBroken):
            await sealer.unseal(customer_id, kind, sealed)


async def test_a_changed_large_value_is_refused(sealer: Sealer) -> None:
    ana = uuid.uuid4()
    sealed = await sealer.seal(ana, Field.FACE, PICTURE)
    changed = sealed[:-8] + ("A" if sealed[-8] != "A" else "B") + sealed[-7:]
    with pytest.raises(SealBroken):
        await sealer.unseal(ana, Field.FACE, changed)


async def test_many_values_are_sealed_and_read_in_order(sealer: Sealer) -> None:
    people = [uuid.uuid4() for _ in range(230)]
    texts = await sealer.seal_all([Plain(one, Field.EMAIL, str(one).encode()) for one in people])
    assert len(set(texts)) == 230
    sealed = [Sealed(one, Field.EMAIL, text) for one, text in zip(people, texts, strict=True)]
    assert await sealer.unseal_all(sealed) == [str(one).encode() for one in people]


async def test_blind_indexes_depend_on_key_field_and_value(vault: Vault) -> None:
    sealer, other = Sealer(vault, KEYS), Sealer(vault, {"blind_index_key": "0b" * 32})
    index = sealer.email_index("ana@customers.example")
    assert len(index) == 32
    assert index == sealer.email_index("ana@customers.example")
    assert len({index, sealer.phone_index("ana@customers.example"), other.email_index("ana")}) == 3


async def test_auth_can_neither_export_nor_change_the_key(vault: Vault) -> None:
    for path in (f"transit/keys/{KEY}", f"transit/keys/{KEY}/rotate", f"transit/rewrap/{KEY}"):
        with pytest.raises(hvac.exceptions.Forbidden):
            await vault.write(path, {})
    with pytest.raises(hvac.exceptions.Forbidden):
        await vault.write(f"transit/export/encryption-key/{KEY}", {})


async def test_another_service_can_neither_seal_nor_read(other_vault: Vault) -> None:
    with pytest.raises(hvac.exceptions.Forbidden):
        await Sealer(other_vault, KEYS).seal(uuid.uuid4(), Field.EMAIL, "x")


async def test_an_outage_of_openbao_is_unreachable(openbao: OpenBaoStore, vault: Vault) -> None:
    await openbao.runner.stop()
    try:
        with pytest.raises(OSError) as raised:  # noqa: PT011
            await Sealer(vault, KEYS).seal(uuid.uuid4(), Field.EMAIL, "x")
        assert is_unreachable(raised.value)
    finally:
        await openbao.runner.start()
        assert await openbao.runner.wait_ready()
