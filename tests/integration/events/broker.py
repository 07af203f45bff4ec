"""A real Kafka broker for the tests of events: one KRaft node in a folder of its own."""

import base64
import os
import signal
import socket
import subprocess
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, NewTopic

from sandbox.stack.parts.kafka import default_libs, fetch_libs

PARTITIONS = {
    "payments": 6,
    "transfers": 6,
    "auth-events": 3,
    "notifications": 3,
    "audit-logs": 12,
}
JVM = ("-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData")
QUIET = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@dataclass
class Broker:
    """One broker that can be killed and started again on the same data and port."""

    home: Path
    port: int = field(default_factory=free_port)
    controller_port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self.port}"

    def _java(self, *command: str) -> list[str]:
        libs = default_libs()
        fetch_libs(libs)
        return ["java", *JVM, QUIET, "-cp", f"{libs}/*", *command]

    def format(self) -> None:
        configuration = {
            "process.roles": "broker,controller",
            "node.id": 1,
            "controller.quorum.voters": f"1@127.0.0.1:{self.controller_port}",
            "listeners": f"PLAINTEXT://{self.bootstrap},"
            f"CONTROLLER://127.0.0.1:{self.controller_port}",
            "advertised.listeners": f"PLAINTEXT://{self.bootstrap}",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": self.home / "data",
            "auto.create.topics.enable": "false",
            "offsets.topic.num.partitions": 3,
            "offsets.topic.replication.factor": 1,
            "transaction.state.log.num.partitions": 3,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "group.initial.rebalance.delay.ms": 0,
        }
        lines = "".join(f"{name}={value}\n" for name, value in configuration.items())
        (self.home / "server.properties").write_text(lines)
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        tool = ("kafka.tools.StorageTool", "format", "-t", cluster, "-c")
        subprocess.run(
            self._java(*tool, str(self.home / "server.properties")),
            check=True,
            stdout=subprocess.DEVNULL,
        )

    def start(self) -> None:
        with (self.home / "kafka.log").open("ab") as log:
            self.process = subprocess.Popen(
                self._java("kafka.Kafka", str(self.home / "server.properties")),
                stdout=log,
                stderr=log,
                preexec_fn=os.setsid,
            )
        deadline = time.monotonic() + 60
        admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})
        while True:
            try:
                admin.list_topics(timeout=1)
                return
            except KafkaException:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    raise

    def kill(self) -> None:
        """kill -9, as the machine would lose it."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def create_topics(self) -> None:
        topics = [NewTopic(name, count, 1) for name, count in PARTITIONS.items()]
        topics += [NewTopic(f"{name}.dlq", 1, 1) for name in PARTITIONS]
        admin = AdminClient({"bootstrap.servers": self.bootstrap})
        for created in admin.create_topics(topics).values():
            created.result(timeout=30)
