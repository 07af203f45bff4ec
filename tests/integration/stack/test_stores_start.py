"""Stores that start after a full disk or a crash recover, or report the missing file."""

import asyncio
import shutil
import signal
import socket
import sys
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import UUID

import pytest

from ops.waiting import until
from sandbox.stack.home import Home
from sandbox.stack.parts.kafka import Kafka, default_libs
from sandbox.stack.parts.openbao import OpenBao
from sandbox.stack.parts.services import Services
from sandbox.stack.ports import Ports
from sandbox.stack.supervisor import private
from sandbox.stack.supervisor.nodes import Layer, ProcessSpec, RestartPolicy, State
from sandbox.stack.supervisor.supervisor import StackError, Supervisor
from services.chassis.settings import ServiceSettings
from services.chassis.vault import Vault


@dataclass(frozen=True)
class _Room:
    """A probe that succeeds while a file exists; the file represents free space on the disk."""

    file: Path

    async def check(self) -> bool:
        return self.file.exists()


async def test_a_store_is_restarted_no_matter_how_long_its_disk_is_full(tmp_path: Path) -> None:
    """Regression: the supervisor gave up a store after twenty starts (4 min) on a full disk."""
    room = tmp_path / "room"
    room.touch()
    spec = ProcessSpec(
        name="store",
        layer=Layer.STORE,
        command=("/bin/sh", "-c", f"test -e {room} && exec sleep 3600"),
        probe=_Room(room),
        restart=RestartPolicy(delay_first_s=0.001, delay_max_s=0.001),
    )
    home = Home(tmp_path)
    home.create()
    bank = Supervisor({"store": spec}, home.logs, home.pids_file)
    await bank.ensure([])
    store = bank.runners["store"]
    room.unlink()
    bank.kill("store", signal.SIGKILL)

    async def often_failed() -> bool:
        assert store.state is not State.FAILED, store.trouble()
        return store.failed_starts >= 30

    await until(often_failed, 20, "thirty failed starts")
    room.touch()
    assert await store.wait_ready()
    await bank.stop_all()
    home.remove_run()


async def test_kafka_is_formatted_even_if_the_first_random_id_begins_with_a_dash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of 64 random ids does, and Kafka's tool reads such an id as an option."""
    drawn = iter([UUID(bytes=b"\xf8" * 16), UUID(bytes=b"\x07" * 16)])
    monkeypatch.setattr("uuid.uuid4", lambda: next(drawn))
    home = Home(tmp_path)
    home.create()
    ports = Ports(home.conf / "ports.json", {})
    kafka = Kafka(home, ports.get("kafka"), ports.get("controller"), default_libs(), 128)
    await kafka.prepare()
    assert "cluster.id=BwcHBwcH" in (kafka.data / "meta.properties").read_text()
    home.remove_run()


async def test_kafka_does_not_start_when_the_fencing_controller_could_not_write(
    tmp_path: Path,
) -> None:
    """The disk is full for the fencing controller, and has space again for the broker.

    A broker that is not fenced before it starts can leave transactions undecided forever.
    """
    home = Home(tmp_path)
    home.create()
    ports = Ports(home.conf / "ports.json", {})
    kafka = Kafka(home, ports.get("kafka"), ports.get("controller"), default_libs(), 128)
    await kafka.prepare()
    (kafka.data / "__cluster_metadata-0").write_text("as little a folder as a full disk allows")
    with pytest.raises(RuntimeError, match="controller exited"):
        await kafka.prepare()
    home.remove_run()


@asynccontextmanager
async def _opened(openbao: OpenBao) -> AsyncGenerator[None]:
    """Start and unseal the server; stop it afterwards."""
    home = openbao.home
    bank = Supervisor({"openbao": openbao.node()}, home.logs, home.pids_file)
    try:
        await bank.ensure([])
        yield
    finally:
        await bank.stop_all()


@pytest.fixture(scope="module")
async def used(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[OpenBao]:
    """A server that was unsealed once and then stopped."""
    home = Home(tmp_path_factory.mktemp("openbao"))
    home.create()
    ports = Ports(home.conf / "ports.json", {})
    server = OpenBao(home, ports.get("openbao"), ports.get("openbao-cluster"))
    async with _opened(server):
        pass
    yield server
    home.remove_run()


@pytest.fixture
def openbao(used: OpenBao, tmp_path: Path) -> Generator[OpenBao]:
    """The used server; its data and keys are restored afterwards."""
    folders = (used.home.data, used.home.secrets)
    for each in folders:
        shutil.copytree(each, tmp_path / each.name)
    yield used
    for each in folders:
        shutil.rmtree(each)
        shutil.copytree(tmp_path / each.name, each)


async def test_openbao_is_initialised_again_when_its_keys_were_never_saved(
    openbao: OpenBao,
) -> None:
    """Regression: after a kill between initialisation and the keys' file, no start succeeded."""
    lost = openbao.keys_file.read_text()
    openbao.keys_file.unlink()
    begun = openbao.keys_file.with_suffix(".begun")
    begun.touch()
    async with _opened(openbao):
        assert openbao.keys_file.read_text() != lost
    assert not begun.exists()


async def test_openbao_reports_missing_keys_and_keeps_its_sealed_data(
    openbao: OpenBao,
) -> None:
    """A used store is never initialised again, because a backup may hold its keys."""
    kept = openbao.keys_file.read_text()
    openbao.keys_file.unlink()
    node = openbao.node()
    assert isinstance(node, ProcessSpec)
    spec = replace(node, restart=RestartPolicy(delay_first_s=0.01, first_starts_max=2))
    home = openbao.home
    bank = Supervisor({"openbao": spec}, home.logs, home.pids_file)
    with pytest.raises(StackError, match=r"keys are missing: restore .*openbao-init\.json"):
        await bank.ensure([])
    await bank.stop_all()
    openbao.keys_file.write_text(kept)
    async with _opened(openbao):
        assert openbao.keys_file.read_text() == kept


async def test_openbao_killed_after_its_keys_were_saved_is_not_initialised_again_without_them(
    openbao: OpenBao,
) -> None:
    """Regression: the mark of an unfinished start stayed, so losing the keys erased the store."""
    begun = openbao.keys_file.with_suffix(".begun")
    begun.touch()
    async with _opened(openbao):
        assert not begun.exists()
    openbao.keys_file.unlink()
    await openbao.prepare()
    assert any((openbao.home.data / "openbao").iterdir())


class Squatter:
    """Another user's program on OpenBao's port; it answers like a sealed OpenBao."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.received: list[bytes] = []
        self._server: asyncio.Server | None = None

    async def listen(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.received.append(await reader.read(65_536))
        body = b'{"initialized":true,"sealed":true}'
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "
        writer.write(head + str(len(body)).encode() + b"\r\n\r\n" + body)
        writer.write_eof()


@pytest.mark.parametrize("late", [False, True], ids=["before the start", "while it starts"])
async def test_a_program_that_took_the_port_of_openbao_receives_nothing(
    openbao: OpenBao, late: bool
) -> None:
    squatter = Squatter(openbao.port)
    node = openbao.node()
    assert isinstance(node, ProcessSpec)
    prepare = node.prepare
    assert prepare is not None

    async def prepare_too_early() -> None:
        await squatter.close()
        await prepare()
        await squatter.listen()

    if not late:
        await squatter.listen()
    restart = RestartPolicy(delay_first_s=0.01, first_starts_max=1)
    spec = replace(node, restart=restart, prepare=prepare_too_early if late else prepare)
    bank = Supervisor({"openbao": spec}, openbao.home.logs, openbao.home.pids_file)
    reason = "address already in use" if late else "taken by another process"
    try:
        with pytest.raises(StackError, match=reason):
            await bank.ensure([])
    finally:
        await bank.stop_all()
        await squatter.close()
    assert squatter.received == []
    async with _opened(openbao):
        pass


async def test_a_service_sends_its_token_to_no_program_on_the_port_of_openbao(
    openbao: OpenBao,
) -> None:
    """OpenBao is down, and another user's program listens on its port."""
    squatter = Squatter(openbao.port)
    await squatter.listen()
    home = openbao.home
    services = {one.name: one for one in Services(home, openbao.private_addr, "unused:1").specs()}
    token_file = home.run / "payments" / "token"
    private.folder(token_file.parent)
    private.write(token_file, "a token")
    settings = ServiceSettings.model_validate(
        {
            "service": "payments",
            "home": home.root,
            "socket_in": Path("unused"),
            "openbao_addr": services["payments"].env["BP_OPENBAO_ADDR"],
            "service_account_token_file": token_file,
        }
    )
    vault = Vault(settings)
    try:
        with pytest.raises(OSError, match="No such file"):
            await vault.login()
    finally:
        await squatter.close()
    assert squatter.received == []


async def test_a_process_is_not_ready_while_another_program_has_its_port(tmp_path: Path) -> None:
    """The other program answers the probe, and would receive data meant for the process."""
    home = Home(tmp_path)
    home.create()
    with socket.create_server(("127.0.0.1", 0)) as squatter:
        port = squatter.getsockname()[1]
        spec = ProcessSpec(
            name="store",
            layer=Layer.STORE,
            command=("/bin/sleep", "3600"),
            probe=_Room(Path("/")),
            ports=(port,),
            ready_within_s=0.5,
            restart=RestartPolicy(delay_first_s=0.01, first_starts_max=1),
        )
        bank = Supervisor({"store": spec}, home.logs, home.pids_file)
        with pytest.raises(StackError, match=f"does not listen on port {port}; not ready"):
            await bank.ensure([])
        await bank.stop_all()
    serves = (sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1")
    spec = replace(spec, command=serves, ready_within_s=60)
    bank = Supervisor({"store": spec}, home.logs, home.pids_file)
    await bank.ensure([])
    await bank.stop_all()
    home.remove_run()
