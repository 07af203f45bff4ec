"""`make up` gives the sandbox's people their logins, and Valkey to the services that use it."""

import asyncpg

from ops.provision import valkey
from sandbox.seed import cluster, logins, people
from sandbox.seed.people import Person
from sandbox.stack.parts.services import Services
from sandbox.stack.testing import RunningStack


async def test_named_people_have_a_login_with_a_face_and_others_get_one_on_demand(
    stack_openbao: RunningStack,
) -> None:
    stack_openbao.ensure("seed-data")
    connection = await asyncpg.connect(stack_openbao.dsn("bp_auth"))
    try:
        ids = [people.customer_id(person.user_name) for person in people.NAMED]
        users = "SELECT count(*) FROM auth.users WHERE customer_id = ANY ($1)"
        pictures = "SELECT count(*) FROM auth.face WHERE customer_id = ANY ($1)"
        assert await connection.fetchval(users, ids) == len(people.NAMED)
        assert await connection.fetchval(pictures, ids) == len(people.NAMED)
        load = people.customer_id("load-000300")
        assert await connection.fetchval(users, [load]) == 1
        vault = await cluster.auth_vault(stack_openbao.addresses, stack_openbao.home.run)
        guest = [Person("guest-of-this-test", "Guest", ())]
        assert await logins.plant(connection, vault, guest, with_faces=True) == 1
        assert await logins.plant(connection, vault, guest, with_faces=True) == 0
    finally:
        await connection.close()


def test_only_services_with_a_login_get_the_socket_of_valkey(stack_openbao: RunningStack) -> None:
    home = stack_openbao.home
    specs = {spec.name: spec.env for spec in Services(home, "unused", "unused:1").specs()}
    with_socket = {name for name, env in specs.items() if "BP_VALKEY_SOCKET" in env}
    assert with_socket == specs.keys() & valkey.RIGHTS.keys()
    assert specs["payments"]["BP_VALKEY_SOCKET"] == str(home.valkey_socket)
