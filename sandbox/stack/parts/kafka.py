"""Apache Kafka in KRaft mode: one node that is broker and controller, from plain jars.

With one node, every topic has replication factor 1 and min ISR 1, internal topics included.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import shutil
import signal
import subprocess
import sys
import uuid
from dataclasses import dataclass
from pathlib import Path

from ops.programs import program
from sandbox.stack.home import Home
from sandbox.stack.ports import require_free
from sandbox.stack.supervisor import launch, private
from sandbox.stack.supervisor.nodes import JobSpec, Layer, Node, ProcessSpec, StopPolicy
from sandbox.stack.supervisor.probes import KafkaProbe, wait_for

POM = Path(__file__).resolve().parents[1] / "kafka" / "pom.xml"
JVM = (
    *("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData"),
    *(
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
        "-Dorg.slf4j.simpleLogger.showDateTime=true",
    ),
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSZ",
)

BROKER_ONLY = ("process.roles=", "listeners=", "advertised.", "broker.session.timeout.ms=")
TELL_FENCING = "-Dorg.slf4j.simpleLogger.log.org.apache.kafka.controller=info"
FENCING, FENCED = "Fencing broker", "Replayed BrokerRegistrationChangeRecord"
FENCING_WITHIN_S = 20.0
FENCING_POLL_S = 0.1

CONFIGURATION = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={data}
num.network.threads=1
num.io.threads=2
auto.create.topics.enable=false
default.replication.factor=1
min.insync.replicas=1
offsets.topic.num.partitions=6
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=6
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.num.partitions=3
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
offsets.retention.minutes=525600
log.retention.hours=168
log.segment.bytes=67108864
log.cleaner.dedupe.buffer.size=4194304
broker.session.timeout.ms=4000
broker.heartbeat.interval.ms=500
controlled.shutdown.enable=false
"""


@dataclass(frozen=True)
class Kafka:
    """The Kafka broker of one state directory."""

    home: Home
    port: int
    controller_port: int
    libs: Path
    heap_mib: int
    external: str = ""

    @property
    def bootstrap(self) -> str:
        """The bootstrap address for clients, host:port."""
        return self.external or f"127.0.0.1:{self.port}"

    @property
    def data(self) -> Path:
        """Topic and metadata logs."""
        return self.home.data / "kafka"

    @property
    def unpacked(self) -> Path:
        """Native libraries that the broker unpacks. A killed JVM does not remove them."""
        return self.home.data / "kafka-unpacked"

    @property
    def configuration(self) -> Path:
        """server.properties."""
        return self.home.conf / "kafka.properties"

    def node(self) -> Node:
        """Return the broker process, or a job that waits for an external cluster."""
        if self.external:
            return JobSpec("kafka", lambda: wait_for(KafkaProbe(self.external)))
        return self._process()

    def _process(self) -> ProcessSpec:
        heap = (f"-Xmx{self.heap_mib}m", "-Xms128m")
        return ProcessSpec(
            name="kafka",
            layer=Layer.STORE,
            command=(*self._java(*heap, *JVM), "kafka.Kafka", str(self.configuration)),
            probe=KafkaProbe(self.bootstrap),
            ports=(self.port,),
            cwd=self.home.data,
            prepare=self.prepare,
            # SIGKILL, like a crash: a controlled shutdown makes the only node leaderless while it
            # still commits transactions, whose markers it then drops. Written data is kept.
            stop=StopPolicy(signal=signal.SIGKILL),
        )

    async def prepare(self) -> None:
        """Write jars and configuration; format the log directory at the first start."""
        require_free(self.port, "Kafka")
        require_free(self.controller_port, "Kafka")
        await asyncio.to_thread(fetch_libs, self.libs)
        shutil.rmtree(self.unpacked, ignore_errors=True)
        private.folder(self.unpacked)
        text = CONFIGURATION.format(
            port=self.port, controller_port=self.controller_port, data=self.data
        )
        private.write(self.configuration, text)
        if (self.data / "meta.properties").exists():
            if (self.data / "__cluster_metadata-0").exists():
                await self._fence_the_former_broker(text)
            return
        shutil.rmtree(self.data, ignore_errors=True)
        private.folder(self.data)
        tool = ("kafka.tools.StorageTool", "format", "-t", new_cluster_id(), "-c")
        await launch.run(
            (*self._java(*JVM), *tool, str(self.configuration)),
            env=launch.child_environment({}),
            log=self.home.logs / "kafka-format.log",
        )

    async def _fence_the_former_broker(self, text: str) -> None:
        """Run the controller alone until it fences the broker of the previous run.

        In the old metadata, a single node that restarts is the leader of all partitions, so it
        resumes the transactions that were being committed. For a moment the partitions then have no
        leader: the node treats them as deleted and drops the markers of the transactions. Their
        records and offsets stay undecided forever (Kafka 4.3). If the metadata name no leader from
        the start, the node resumes the transactions only after it has become leader again.

        This also applies after `down`: a controlled shutdown is switched off, because it makes the
        node leaderless while it still commits, with the same result.
        """
        alone = self.home.conf / "kafka-controller.properties"
        lines = [
            *(line for line in text.splitlines() if not line.startswith(BROKER_ONLY)),
            "process.roles=controller",
            f"listeners=CONTROLLER://127.0.0.1:{self.controller_port}",
            "broker.session.timeout.ms=1000",
        ]
        private.write(alone, "\n".join(lines) + "\n")
        log = self.home.logs / "kafka-controller.log"
        log.unlink(missing_ok=True)
        command = self._java(*JVM, TELL_FENCING)
        process = await launch.start(
            (*command, "kafka.Kafka", str(alone)), env=launch.child_environment({}), log=log
        )
        await _until_told(process, log)
        if process.returncode is not None:  # for example a full disk: the broker must not start
            raise RuntimeError(f"Kafka's controller exited with {process.returncode}; see {log}")
        process.terminate()  # SIGTERM, so that its metadata log is written completely
        await process.wait()

    def _java(self, *options: str) -> tuple[str, ...]:
        return ("java", *options, f"-Djava.io.tmpdir={self.unpacked}", "-cp", f"{self.libs}/*")


async def _until_told(process: asyncio.subprocess.Process, log: Path) -> None:
    """Wait for the fencing in the controller's log, for the controller's exit or for the timeout.
    A timeout is no error: the metadata may already have no leader."""
    for _ in range(int(FENCING_WITHIN_S / FENCING_POLL_S)):
        # The controller replays earlier records at its start; only those after its decision count.
        decided = log.read_text(errors="replace").partition(FENCING)[2]
        if process.returncode is not None or FENCED in decided:
            return
        await asyncio.sleep(FENCING_POLL_S)


def new_cluster_id() -> str:
    """Return 22 random characters of base64url; the first is not "-", as in Kafka's Uuid class.

    The tools on Kafka's command line read an id that begins with "-" as an option.
    """
    while True:
        text = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not text.startswith("-"):
            return text


def default_libs() -> Path:
    """Return the folder of this pom's jars: in the virtual environment, shared by every home."""
    digest = hashlib.sha256(POM.read_bytes()).hexdigest()[:12]
    return Path(sys.prefix) / "share" / f"kafka-{digest}"


def fetch_libs(libs: Path) -> None:
    """Copy the jars with Maven once; an interrupted copy leaves no files."""
    if libs.exists():
        return
    draft = libs.with_name(f"{libs.name}.{uuid.uuid4().hex[:8]}")
    draft.parent.mkdir(parents=True, exist_ok=True)
    options = (f"-DoutputDirectory={draft}", "-DincludeScope=runtime")
    try:
        command = (program("mvn"), "-B", "-q", "-f", str(POM), "dependency:copy-dependencies")
        # Other users of the virtual environment read the jars.
        subprocess.run([*command, *options], check=True, umask=0o022)
        draft.rename(libs)
    except OSError:
        if not libs.exists():  # a concurrent setup may have finished first
            raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)
