"""People of the sandbox can log in with the documented password, and a second seed adds nothing."""

import bcrypt

from ops.provision.bao_client import BaoClient
from ops.provision.credentials import load_or_make
from ops.provision.secrets import kv_secrets
from sandbox.seed import faces, logins, people
from services.auth import passwords
from services.auth.sealing import Field, Sealer
from services.auth.store import Store
from services.chassis.vault import Vault
from tests.rigs.stores import OpenBaoStore, PostgresStore


async def _keys(openbao: OpenBaoStore, postgres: PostgresStore) -> dict[str, str]:
    """Write auth's secret to OpenBao as provisioning does."""
    made = load_or_make(openbao.home.secrets)
    keys = dict(kv_secrets(made, postgres.part.server, openbao.home.partners)["service/auth"])
    async with BaoClient(openbao.part.private_addr, openbao.part.root_token()) as bao:
        await bao.write("secret/data/service/auth", data=keys)
    return keys


async def test_a_seeded_person_has_password_contact_and_face(
    openbao: OpenBaoStore,
    postgres: PostgresStore,
    store: Store,
    vault: Vault,
) -> None:
    keys = await _keys(openbao, postgres)
    some = [*people.NAMED[:1], *people.load_people(40)]
    connection = await postgres.session("postgres", "bp_auth")
    try:
        assert await logins.plant(connection, vault, some, with_faces=True) == 41
        assert await logins.plant(connection, vault, some, with_faces=True) == 0
    finally:
        await connection.close()
    sealer = Sealer(vault, keys)
    for name in ("ana", "load-000007"):
        user = await store.user_by_email(sealer.email_index(f"{name}@customers.example"))
        assert user is not None
        customer_id = people.customer_id(name)
        assert user.customer_id == customer_id
        typed = passwords.prehash(bytes.fromhex(keys["password_key"]), people.password(name))
        assert bcrypt.checkpw(typed, user.password_hash)
        phone = await sealer.unseal(customer_id, Field.PHONE, user.phone_sealed)
        assert phone.decode() == people.phone(name)
        face = await store.face(customer_id)
        assert face is not None
        assert await sealer.unseal(customer_id, Field.FACE, face) == faces.picture(name)
