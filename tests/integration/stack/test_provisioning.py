"""The stack provisions roles with least privilege, secrets, certificates, topics and files."""

from __future__ import annotations

import threading
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest
from confluent_kafka.admin import AdminClient
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from ops.provision.accounts import mint
from ops.provision.bao_client import BaoClient, BaoError
from ops.provision.roster import SERVICES, mesh_identities
from ops.provision.topics import partitions
from ops.provision.vault import CERT_AGENT
from ops.waiting import scaled_s
from sandbox.stack.testing import RunningStack
from services.kernel.identities import spiffe_id


async def login(stack: RunningStack, name: str) -> str:
    async with BaoClient(stack.addresses["BP_OPENBAO_ADDR"]) as bao:
        return await bao.login(name, (stack.home.run / name / "token").read_text())


async def read(stack: RunningStack, token: str, path: str) -> dict[str, str]:
    async with BaoClient(stack.addresses["BP_OPENBAO_ADDR"], token) as bao:
        answer = await bao.read(f"secret/data/{path}")
        assert answer is not None
        return answer["data"]["data"]


@pytest.mark.parametrize("service", [s for s in SERVICES if s.database], ids=lambda s: s.name)
async def test_a_service_reads_its_database_password_and_it_opens_the_database(
    stack_postgres: RunningStack, stack_openbao: RunningStack, service
) -> None:
    token = await login(stack_openbao, service.name)
    secret = await read(stack_openbao, token, f"database/postgres/{service.name}")
    connection = await asyncpg.connect(
        host=secret["host"],
        port=int(secret["port"]),
        user=secret["username"],
        password=secret["password"],
        database=secret["database"],
    )
    assert await connection.fetchval("SELECT current_user") == service.role
    await connection.close()


async def test_a_service_cannot_read_the_secrets_of_another(stack_openbao: RunningStack) -> None:
    token = await login(stack_openbao, "payments")
    assert (await read(stack_openbao, token, "external/ach-network"))["api_key"]
    for path in ("database/postgres/audit", "external/oauth", "external/fcm"):
        with pytest.raises(BaoError, match="403"):
            await read(stack_openbao, token, path)


async def test_a_service_cannot_log_in_as_another_or_with_an_old_token(
    stack_openbao: RunningStack,
) -> None:
    own = (stack_openbao.home.run / "payments" / "token").read_text()
    expired = mint(
        stack_openbao.credentials.service_account_issuer_key, "payments", lifetime_s=-600
    )
    async with BaoClient(stack_openbao.addresses["BP_OPENBAO_ADDR"]) as bao:
        with pytest.raises(BaoError):
            await bao.login("audit", own)
        with pytest.raises(BaoError):
            await bao.login("payments", expired)


async def test_the_certificate_agent_cannot_get_a_foreign_identity(
    stack_openbao: RunningStack,
) -> None:
    addr = stack_openbao.addresses["BP_OPENBAO_ADDR"]
    # The agent mints its token itself, so no file has it.
    own = mint(stack_openbao.credentials.service_account_issuer_key, CERT_AGENT)
    async with BaoClient(addr) as anonymous:
        token = await anonymous.login(CERT_AGENT, own)
    async with BaoClient(addr, token) as bao:
        with pytest.raises(BaoError):
            await bao.write("pki/issue/payments", uri_sans=spiffe_id("audit"))
        with pytest.raises(BaoError):
            await bao.write("pki/issue/payments", common_name="localhost")


async def test_a_role_cannot_connect_to_the_database_of_another(
    stack_postgres: RunningStack,
) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await asyncpg.connect(stack_postgres.dsn("bp_audit", "bp_payments"))


A_TABLE_THAT_THE_JUDGE_READS = """
SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^(pg_|information_schema$|public$)'
    AND has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT') LIMIT 1
"""


async def test_the_judge_reads_every_database_and_writes_none(stack_postgres: RunningStack) -> None:
    for database in ("bp_write", "bp_customers", "bp_notifications", "bp_audit", "bp_auth"):
        connection = await asyncpg.connect(stack_postgres.dsn(database, "bp_judge"))
        assert await connection.fetchval(A_TABLE_THAT_THE_JUDGE_READS) is not None
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("CREATE TABLE public.mine (id int)")
        await connection.close()


async def test_commits_are_durable(stack_postgres: RunningStack) -> None:
    connection = await asyncpg.connect(stack_postgres.dsn("bp_write"))
    for setting in ("fsync", "synchronous_commit", "full_page_writes"):
        assert await connection.fetchval(f"SHOW {setting}") == "on"
    await connection.close()


def test_topics_have_the_partitions_of_the_design_and_a_dead_letter_topic_each(
    stack_kafka: RunningStack,
) -> None:
    admin = AdminClient({"bootstrap.servers": stack_kafka.addresses["BP_KAFKA_BOOTSTRAP"]})
    known = admin.list_topics(timeout=scaled_s(10)).topics
    assert {n: len(known[n].partitions) for n in partitions()} == partitions()
    assert known["payments"].partitions.keys() == set(range(6))
    assert len(known["audit-logs"].partitions) == 12
    assert len(known["auth-events"].partitions) == 3
    # One partition keeps the revisions of the mesh in order.
    assert len(known["mesh-events"].partitions) == 1


@pytest.mark.parametrize("name", mesh_identities())
def test_each_proxy_has_a_certificate_with_its_spiffe_identity_alone(
    stack_openbao: RunningStack, name: str
) -> None:
    certificate = load(stack_openbao.home.certs / name)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [entry.value for entry in names] == [spiffe_id(name)]
    life = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    # It is valid from five minutes before its issue, for clocks that run behind.
    assert (life - timedelta(minutes=5)).total_seconds() <= 3700


def test_renewal_never_shows_a_key_that_does_not_fit_its_certificate(
    stack_openbao: RunningStack,
) -> None:
    folder = stack_openbao.home.certs / "payments"
    serials, done = set[int](), threading.Event()
    mismatches: list[str] = []

    def look() -> None:
        while not done.is_set():
            version = folder / (folder / "..data").readlink()
            certificate = load(version)
            key = serialization.load_pem_private_key((version / "key.pem").read_bytes(), None)
            serials.add(certificate.serial_number)
            if key.public_key() != certificate.public_key():
                mismatches.append(str(version))

    watcher = threading.Thread(target=look)
    watcher.start()
    for _ in range(5):
        assert "payments" in stack_openbao.renew_certificates()
    done.set()
    watcher.join()
    assert not mismatches
    assert len(serials) > 1


def load(folder: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate((folder / "cert.pem").read_bytes())


def test_secrets_and_keys_are_readable_by_their_owner_alone(stack_openbao: RunningStack) -> None:
    home = stack_openbao.home
    files = [*home.secrets.iterdir(), home.certs / "payments" / "key.pem"]
    files += [home.run / "payments" / "token"]
    assert len(files) >= 4
    for file in files:
        assert file.stat().st_mode & 0o077 == 0, file
