"""The plan of a home: which nodes exist, with what they need.

The table is built from what the repository holds: a service without `__main__.py`, a missing mesh
or partner is an absent part, not an error.
"""

from __future__ import annotations

from dataclasses import dataclass

from sandbox.stack import seed
from sandbox.stack.home import Home
from sandbox.stack.nodes import JobSpec, Node
from sandbox.stack.parts import kafka as kafka_part
from sandbox.stack.parts.kafka import Kafka
from sandbox.stack.parts.openbao import OpenBao
from sandbox.stack.parts.postgres import Postgres
from sandbox.stack.parts.valkey import Valkey
from sandbox.stack.ports import Ports
from sandbox.stack.provision import topics
from sandbox.stack.settings import StackSettings


@dataclass(frozen=True)
class Parts:
    """The parts that every other part refers to."""

    home: Home
    ports: Ports
    seed: seed.Seed
    postgres: Postgres
    kafka: Kafka
    openbao: OpenBao
    valkey: Valkey


def build_parts(home: Home, settings: StackSettings) -> Parts:
    """Choose ports and read or make the seed; starts nothing."""
    ports = Ports(home.conf / "ports.json")
    made = seed.load_or_make(home.secrets)
    libs = settings.kafka_libs or kafka_part.default_libs()
    return Parts(
        home=home,
        ports=ports,
        seed=made,
        postgres=Postgres(home, ports.get("postgres"), made.postgres_superuser),
        kafka=Kafka(
            home, ports.get("kafka"), ports.get("kafka-controller"), libs, settings.kafka_heap_mib
        ),
        openbao=OpenBao(home, ports.get("openbao"), ports.get("openbao-cluster")),
        valkey=Valkey(home),
    )


def build_nodes(parts: Parts) -> dict[str, Node]:
    """The table of nodes, each after what it needs."""
    nodes: list[Node] = [
        parts.kafka.spec(),
        parts.postgres.spec(),
        parts.openbao.spec(),
        parts.valkey.spec(),
        JobSpec("topics", lambda: topics.create(parts.kafka.bootstrap), ("kafka",)),
    ]
    return {node.name: node for node in nodes}
