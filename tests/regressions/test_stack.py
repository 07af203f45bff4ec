"""Bugs of the stack that were seen once."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import grpc
import pytest

from sandbox.stack import launch
from sandbox.stack.home import REPO, Home
from sandbox.stack.nodes import Layer, ProcessSpec, RestartPolicy, State
from sandbox.stack.parts.kafka import Kafka, default_libs
from sandbox.stack.parts.openbao import OpenBao
from sandbox.stack.ports import Ports
from sandbox.stack.supervisor import StackError, Supervisor
from sandbox.waiting import scaled_s, until, until_true


def test_a_link_inside_a_closed_folder_is_as_closed_as_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL did not start where .venv was a link in a folder that its user may not enter."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(launch, "_passable", lambda folder: folder.name != "closed")
    (tmp_path / "open").mkdir()
    (tmp_path / "closed").mkdir()
    (tmp_path / "closed" / "link").symlink_to(tmp_path / "open")
    user = launch.unprivileged_user([tmp_path / "closed" / "link" / "bin"])
    assert user is not None
    assert user.keep_access


async def test_children_start_while_grpc_works_in_this_process(tmp_path: Path) -> None:
    """One child in fifty was aborted before it began: gRPC had started its threads in it again,
    since Python code was to run between fork and exec, and exec closes the files they wait on."""
    server = grpc.aio.server()
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            await asyncio.wait_for(channel.channel_ready(), scaled_s(10))
            for number in range(100):
                await asyncio.gather(
                    *(
                        launch.run(
                            ("true",),
                            env=launch.child_environment({}),
                            log=tmp_path / f"{number}-{other}.log",
                        )
                        for other in range(3)
                    )
                )
    finally:
        await server.stop(None)


@pytest.mark.parametrize("death_signal", [signal.SIGKILL, signal.SIGTERM])
def test_a_child_ends_with_the_process_that_started_it(
    tmp_path: Path, death_signal: signal.Signals
) -> None:
    told = tmp_path / "child"
    child = f"trap 'echo TERM >> {told}; exit' TERM; echo $$ > {told}; sleep 3600 & wait"
    code = (
        "import signal, subprocess; from sandbox.stack import launch;"
        f"command = launch.in_its_place(['sh', '-c', {child!r}], None, signal.{death_signal.name});"
        "subprocess.Popen(command).wait()"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=REPO, start_new_session=True)
    try:
        until_true(lambda: told.exists() and told.read_text().endswith("\n"), 10, "the child")
        pid = int(told.read_text())
        parent.kill()
        parent.wait()
        until_true(lambda: not Path(f"/proc/{pid}").exists(), 10, "the end of the child")
        assert told.read_text().split()[1:] == (["TERM"] if death_signal is signal.SIGTERM else [])
    finally:
        with suppress(ProcessLookupError):
            os.killpg(parent.pid, signal.SIGKILL)


def test_a_child_of_a_process_that_is_gone_does_not_begin(tmp_path: Path) -> None:
    command = launch.in_its_place(("touch", str(tmp_path / "begun")), None, signal.SIGKILL)
    orphan = subprocess.run(["sh", "-c", '"$@" & wait $!', "sh", *command], check=False)
    assert orphan.returncode == 1
    assert not (tmp_path / "begun").exists()


@dataclass(frozen=True)
class _Room:
    """A probe, and a disk that has room while a file is there."""

    file: Path

    async def check(self) -> bool:
        return self.file.exists()


async def test_a_store_is_started_again_however_long_its_disk_is_full(tmp_path: Path) -> None:
    """After twenty starts without room, four minutes of a full disk, a store was given up."""
    room = tmp_path / "room"
    room.touch()
    spec = ProcessSpec(
        name="store",
        layer=Layer.STORE,
        command=("/bin/sh", "-c", f"test -e {room} && exec sleep 3600"),
        probe=_Room(room),
        restart=RestartPolicy(delay_first_s=0.001, delay_max_s=0.001),
    )
    bank = Supervisor(Home(tmp_path), {"store": spec})
    bank.home.create()
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
    bank.home.remove_run()


async def test_kafka_does_not_start_when_the_controller_before_it_could_not_write(
    tmp_path: Path,
) -> None:
    """Its disk was full for the controller that fences, and had room again for the broker: a
    broker that is not fenced before it starts can leave transactions undecided for ever."""
    home = Home(tmp_path)
    home.create()
    ports = Ports(home.conf / "ports.json", {})
    kafka = Kafka(home, ports.get("kafka"), ports.get("controller"), default_libs(), 128)
    await kafka.prepare()
    (kafka.data / "__cluster_metadata-0").write_text("as little a folder as a full disk allows")
    with pytest.raises(RuntimeError, match="controller ended"):
        await kafka.prepare()
    home.remove_run()


@asynccontextmanager
async def _opened(openbao: OpenBao) -> AsyncGenerator[None]:
    """The server, started and unsealed, stopped again afterwards."""
    bank = Supervisor(openbao.home, {"openbao": openbao.node()})
    try:
        await bank.ensure([])
        yield
    finally:
        await bank.stop_all()


@pytest.fixture
async def openbao(tmp_path: Path) -> AsyncGenerator[OpenBao]:
    """A server that was opened once and is stopped."""
    home = Home(tmp_path)
    home.create()
    ports = Ports(home.conf / "ports.json", {})
    server = OpenBao(home, ports.get("openbao"), ports.get("openbao-cluster"))
    async with _opened(server):
        pass
    yield server
    home.remove_run()


async def test_openbao_is_begun_anew_when_its_keys_never_reached_the_disk(
    openbao: OpenBao,
) -> None:
    """Killed between the initialisation and the keys' file, a home could never start again."""
    lost = openbao.keys_file.read_text()
    openbao.keys_file.unlink()
    begun = openbao.keys_file.with_suffix(".begun")
    begun.touch()
    async with _opened(openbao):
        assert openbao.keys_file.read_text() != lost
    assert not begun.exists()


async def test_openbao_says_that_its_keys_are_gone_and_keeps_what_they_lock(
    openbao: OpenBao,
) -> None:
    """A store that was in use is never begun anew: the keys may lie in a backup."""
    kept = openbao.keys_file.read_text()
    openbao.keys_file.unlink()
    node = openbao.node()
    assert isinstance(node, ProcessSpec)
    spec = replace(node, restart=RestartPolicy(delay_first_s=0.01, first_starts_max=2))
    bank = Supervisor(openbao.home, {"openbao": spec})
    with pytest.raises(StackError, match=r"keys are gone: restore .*openbao-init\.json"):
        await bank.ensure([])
    await bank.stop_all()
    openbao.keys_file.write_text(kept)
    async with _opened(openbao):
        assert openbao.keys_file.read_text() == kept


async def test_openbao_killed_right_after_its_keys_were_kept_is_not_begun_anew_when_they_go(
    openbao: OpenBao,
) -> None:
    """The mark of the beginning outlived it, and a later loss of the keys took the store along."""
    begun = openbao.keys_file.with_suffix(".begun")
    begun.touch()
    async with _opened(openbao):
        assert not begun.exists()
    openbao.keys_file.unlink()
    await openbao.prepare()
    assert any((openbao.home.data / "openbao").iterdir())
