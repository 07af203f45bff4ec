"""The plan of a stack: the table of its nodes and their dependencies.

The table is built from the parts in the repository. A service without `__main__.py`, a missing mesh
or a missing partner is left out without an error.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from mesh.pilot.places import NAME as CONTROL_PLANE
from ops.provision import accounts, credentials, databases, secrets, topics
from ops.provision import vault as provision_vault
from ops.provision.migrations import migrate
from sandbox.stack.certs import CertAgent
from sandbox.stack.home import REPO, Home
from sandbox.stack.parts import kafka as kafka_part
from sandbox.stack.parts.kafka import Kafka
from sandbox.stack.parts.mesh import Mesh
from sandbox.stack.parts.openbao import OpenBao
from sandbox.stack.parts.partners import Partners
from sandbox.stack.parts.postgres import PORT, Postgres
from sandbox.stack.parts.services import Services, python_path
from sandbox.stack.parts.valkey import Valkey
from sandbox.stack.ports import Ports
from sandbox.stack.settings import StackSettings
from sandbox.stack.supervisor import launch
from sandbox.stack.supervisor.nodes import JobSpec, Node, ProcessSpec

GATEWAY_PORT = 8443


@dataclass(frozen=True)
class Parts:
    """The parts of one state directory, from which the nodes are built."""

    home: Home
    settings: StackSettings
    ports: Ports
    credentials: credentials.Credentials
    postgres: Postgres
    kafka: Kafka
    openbao: OpenBao
    valkey: Valkey
    partners: Partners
    mesh: Mesh
    cert_agent: CertAgent


def build_parts(home: Home, settings: StackSettings) -> Parts:
    """Choose ports and read or make the credentials; start nothing."""
    # Only the bank that people use takes the well-known port; homes of tests do not.
    preferred = {"gateway": GATEWAY_PORT} if home.root.name == ".bp" else {}
    ports = Ports(home.conf / "ports.json", preferred)
    made = credentials.load_or_make(home.secrets)
    openbao = OpenBao(
        home,
        ports.get("openbao"),
        ports.get("openbao-cluster"),
        settings.openbao_addr,
        settings.openbao_token_file,
    )
    partners = Partners(home, ports, made)
    kafka = Kafka(
        home,
        ports.get("kafka"),
        ports.get("kafka-controller"),
        settings.kafka_libs or kafka_part.default_libs(),
        settings.kafka_heap_mib,
        settings.kafka_bootstrap,
    )
    return Parts(
        home=home,
        settings=settings,
        ports=ports,
        credentials=made,
        postgres=_postgres(home, made, settings.postgres_address),
        kafka=kafka,
        openbao=openbao,
        valkey=Valkey(home, made),
        partners=partners,
        mesh=Mesh(home, ports, partners, kafka.bootstrap),
        cert_agent=CertAgent(home, openbao.private_addr, made.service_account_issuer_key),
    )


def _postgres(home: Home, made: credentials.Credentials, address: str) -> Postgres:
    if not address:
        return Postgres(home, PORT, made.postgres_superuser)
    host, _, port = address.rpartition(":")
    return Postgres(home, int(port), made.postgres_superuser, host)


def build_nodes(parts: Parts) -> dict[str, Node]:
    """Return the table of nodes."""
    nodes = _stores(parts)
    if parts.partners.exists:
        nodes.append(JobSpec("partner-authority", parts.partners.make_authority))
        nodes += parts.partners.specs(parts.mesh.gateway_url, parts.mesh.ca_file)
    if parts.mesh.exists:
        control_plane = parts.mesh.control_plane
        nodes.append(control_plane.node())
        needs = (CONTROL_PLANE, "partner-authority")
        nodes.append(JobSpec("mesh", control_plane.apply, needs))
        nodes += parts.mesh.sidecars()
    if (REPO / "sandbox" / "seed" / "__main__.py").exists():
        nodes.append(JobSpec("seed-data", lambda: _plant(parts), ("migrations", "vault")))
    nodes += services_of(parts).specs()
    if parts.mesh.exists:
        nodes.append(parts.mesh.gateway())
    known = {node.name for node in nodes}
    starts_max = parts.settings.failed_starts_max
    return {n.name: _bounded(_without_absent(n, known), starts_max) for n in nodes}


def services_of(parts: Parts) -> Services:
    """Return the bank's own processes."""
    return Services(
        parts.home,
        parts.openbao.private_addr,
        parts.kafka.bootstrap,
        parts.settings.silent_s_max,
        parts.settings.settlement_wait_s,
        parts.settings.bcrypt_cost,
    )


def names() -> list[str]:
    """Return the names of the nodes without a bank; a temporary home is used and removed."""
    with tempfile.TemporaryDirectory(prefix="bp-names-") as folder:
        home = Home(Path(folder))
        home.create_folders()
        return [*build_nodes(build_parts(home, StackSettings()))]


async def _plant(parts: Parts) -> None:
    """Write the first customers and accounts; existing rows stay unchanged."""
    environment = {"BP_HOME": str(parts.home.root), "PYTHONPATH": python_path()}
    await launch.run(
        (sys.executable, "-m", "sandbox.seed"),
        env=launch.child_environment(environment),
        log=parts.home.logs / "seed-data.log",
    )


def _without_absent(node: Node, known: set[str]) -> Node:
    """Remove dependencies on nodes that are not in the table."""
    return replace(node, depends_on=tuple(name for name in node.depends_on if name in known))


def _bounded(node: Node, starts_max: int) -> Node:
    if not isinstance(node, ProcessSpec):
        return node
    return replace(node, restart=replace(node.restart, first_starts_max=starts_max))


def _stores(parts: Parts) -> list[Node]:
    """Return the stores and the jobs that provision them."""
    postgres, bao = parts.postgres, parts.openbao

    async def vault() -> None:
        issuer = accounts.public_key_pem(parts.credentials.service_account_issuer_key)
        kv = secrets.kv_secrets(parts.credentials, postgres.server, parts.partners.ca)
        await provision_vault.provision(bao.private_addr, bao.root_token(), issuer, kv)
        parts.cert_agent.refresh_tokens()

    async def roles() -> None:
        await databases.provision(postgres.server, parts.credentials.role_password)

    async def migrations() -> None:
        await migrate(postgres.server, parts.home.logs, launch.run_program)

    return [
        parts.kafka.node(),
        postgres.node(),
        bao.node(),
        parts.valkey.spec(),
        JobSpec("databases", roles, ("postgres",)),
        JobSpec("migrations", migrations, ("databases",)),
        JobSpec("topics", lambda: topics.create(parts.kafka.bootstrap), ("kafka",)),
        JobSpec("vault", vault, ("openbao", "partner-authority")),
        JobSpec("certificates", parts.cert_agent.start, ("vault",)),
    ]
