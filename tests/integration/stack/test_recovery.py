"""A stack that is killed without warning leaves no process behind and loses no durable data.

The tests share one home that no other test uses. Each leaves it running, even after it killed a
part.
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from confluent_kafka import Consumer, Producer

from ops.provision.bao_client import BaoClient
from ops.waiting import scaled_s, until_true
from sandbox.stack import cli, lock, memory
from sandbox.stack.home import REPO, Home
from sandbox.stack.supervisor import control, orphans
from sandbox.stack.testing import RunningStack

PARTS = ("migrations", "topics", "certificates", "valkey")


@pytest.fixture(scope="module")
def own_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home for this module; its stack is stopped afterwards."""
    root = tmp_path_factory.mktemp("recovery") / "home"
    yield root
    RunningStack.open(root).down()


@pytest.fixture
def own_stack(own_home: Path) -> RunningStack:
    """The stack of this home, with stores and provisioning ready."""
    running = RunningStack.open(own_home)
    running.ensure(*PARTS)
    return running


def is_alive(pid: int) -> bool:
    return orphans.start_time(pid) is not None


async def remember(stack: RunningStack) -> None:
    """Write durable data to PostgreSQL and Kafka."""
    connection = await asyncpg.connect(stack.dsn("bp_write"))
    await connection.execute("CREATE TABLE IF NOT EXISTS public.kept AS SELECT 42 AS answer")
    await connection.close()
    producer = Producer({"bootstrap.servers": stack.addresses["BP_KAFKA_BOOTSTRAP"]})
    producer.produce("payments", b"kept", partition=0)
    assert producer.flush(scaled_s(10)) == 0


async def assert_remembered(stack: RunningStack) -> None:
    connection = await asyncpg.connect(stack.dsn("bp_write"))
    assert await connection.fetchval("SELECT answer FROM public.kept") == 42
    await connection.close()
    consumer = Consumer(
        {
            "bootstrap.servers": stack.addresses["BP_KAFKA_BOOTSTRAP"],
            "group.id": f"recovery-test-{time.time_ns()}",
            "auto.offset.reset": "earliest",
        }
    )
    consumer.subscribe(["payments"])
    message = consumer.poll(scaled_s(20))
    consumer.close()
    assert message is not None
    assert message.value() == b"kept"
    token = (stack.home.run / "payments" / "token").read_text()
    async with BaoClient(stack.addresses["BP_OPENBAO_ADDR"]) as bao:
        assert await bao.login("payments", token)


async def test_killing_the_supervisor_leaves_nothing_and_the_next_start_recovers_the_data(
    own_stack: RunningStack,
) -> None:
    await remember(own_stack)
    addresses = own_stack.addresses
    supervisor = control.ask(own_stack.home.control_socket, cmd="ping")["pid"]
    family = memory.descendants(supervisor)
    assert len(family) > len(PARTS)

    os.kill(supervisor, signal.SIGKILL)
    until_true(lambda: not any(map(is_alive, family)), 15, "the end of every process")

    again = RunningStack.open(own_stack.home.root)
    assert again.started
    again.ensure(*PARTS)
    assert again.addresses == addresses
    await assert_remembered(again)


async def test_a_killed_store_comes_back_by_itself_with_its_data(own_stack: RunningStack) -> None:
    await remember(own_stack)
    killed = {name: own_stack.kill(name) for name in ("postgres", "openbao", "kafka")}
    for name, before in killed.items():
        own_stack.wait_ready(name, not_pid=before)
    await assert_remembered(own_stack)


def test_kafka_unpacks_its_libraries_inside_the_home(own_stack: RunningStack) -> None:
    producer = Producer(
        {"bootstrap.servers": own_stack.addresses["BP_KAFKA_BOOTSTRAP"], "compression.type": "lz4"}
    )
    producer.produce("payments.dlq", b"packed" * 100)
    assert producer.flush(scaled_s(10)) == 0
    maps = Path(f"/proc/{own_stack.nodes()['kafka']['pid']}/maps").read_text()
    native = {line.split()[-1] for line in maps.splitlines() if "liblz4-java" in line}
    assert native
    assert all(Path(path).is_relative_to(own_stack.home.data) for path in native), native


def test_a_second_start_keeps_the_running_processes(own_stack: RunningStack) -> None:
    pids = {name: row.get("pid") for name, row in own_stack.nodes().items()}
    assert not cli.ensure_supervisor(own_stack.home)
    own_stack.ensure(*PARTS)
    assert {name: row.get("pid") for name, row in own_stack.nodes().items()} == pids


def test_an_empty_start_discards_the_data_of_a_stopped_stack_only(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    old = home.data / "old"
    stopped = RunningStack.open(home.root)
    old.touch()
    stopped.down()
    empty = RunningStack.open_empty(home.root)
    try:
        assert empty.started
        assert not old.exists()
        old.touch()
        assert not RunningStack.open_empty(home.root).started
        assert old.exists()
    finally:
        empty.down()


def test_an_empty_start_removes_nothing_while_another_process_has_the_home(
    tmp_path: Path,
) -> None:
    home = Home(tmp_path / "home")
    home.create()
    old = home.data / "old"
    old.touch()
    with ThreadPoolExecutor(1) as pool:
        # A supervisor ends with the thread that started it, so it is stopped inside this block.
        with lock.held(home):
            opening = pool.submit(RunningStack.open_empty, home.root)
            assert wait([opening], timeout=scaled_s(0.05)).done == set()
            assert old.exists()
        empty = opening.result()
        try:
            assert empty.started
            assert not old.exists()
        finally:
            empty.down()


def _openers(file: Path) -> int:
    """Return how many processes, this one included, have a file open."""
    opened = 0
    for process in Path("/proc").glob("[0-9]*/fd"):
        try:
            opened += any(each.readlink() == file for each in process.iterdir())
        except OSError:  # the process has ended, or belongs to another user
            continue
    return opened


def test_a_supervisor_waits_for_a_lock_that_becomes_free(tmp_path: Path) -> None:
    """Like that of a supervisor that is just ending, or of an empty start in another process."""
    home = Home(tmp_path / "home")
    with ThreadPoolExecutor(1) as pool:
        with lock.held(home):
            opening = pool.submit(RunningStack.open, home.root)
            until_true(lambda: _openers(home.lock_file) == 2, 15, "the supervisor tries the lock")
        opening.result().down()


def test_a_start_waits_for_the_end_of_a_supervisor_that_ends_slowly(tmp_path: Path) -> None:
    """Regression: a session that started just after another had ended failed."""
    root, old = tmp_path / "home", RunningStack.open(tmp_path / "home")
    old.ensure("valkey")
    slow, before = old.pid("valkey"), control.ask(old.home.control_socket, cmd="ping")["pid"]
    assert slow is not None
    os.kill(slow, signal.SIGSTOP)
    with ThreadPoolExecutor(2) as pool:
        try:
            os.kill(before, signal.SIGTERM)
            until_true(lambda: control.is_stopping(old.home.control_socket), 15, "the stop")
            # One session finds the old supervisor, another one has it open already.
            opening = pool.submit(RunningStack.open, root)
            both: list[Future[Any]] = [opening, pool.submit(old.ensure, "valkey")]
            _, waiting = wait(both, 0.5)
            assert waiting == {*both}
        finally:
            os.kill(slow, signal.SIGCONT)
        again, _ = [one.result() for one in both]
        # A supervisor ends with the thread that started it.
        assert control.ask(old.home.control_socket, cmd="ping")["pid"] != before
        assert again.pid("valkey") not in (None, slow)
        again.down()


def test_a_supervisor_waits_for_one_of_a_version_with_another_lock_file(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.create()
    with ThreadPoolExecutor(1) as pool:
        with open(home.earlier_lock_file, "w") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            assert not lock.earlier_ended(home)
            opening = pool.submit(RunningStack.open, home.root)
            until_true(lambda: _openers(home.earlier_lock_file) == 2, 15, "it also tries this lock")
            assert not control.is_running(home.control_socket)
        running = opening.result()
        try:
            assert not home.earlier_lock_file.exists()
        finally:
            running.down()


def test_of_two_starts_at_once_one_serves_and_the_other_ends(tmp_path: Path) -> None:
    """A start that waited for the lock served the home after `make down`."""
    home = Home(tmp_path / "home")
    command = [sys.executable, "-m", "sandbox.stack", "supervise"]
    env = {**os.environ, "BP_HOME": str(home.root)}
    both = [subprocess.Popen(command, cwd=REPO, env=env) for _ in range(2)]
    try:
        until_true(lambda: any(one.poll() is not None for one in both), 15, "the end of one")
        assert control.is_running(home.control_socket)
        assert cli.down(home) == 0
        assert [one.wait(scaled_s(15)) for one in both] == [0, 0]
    finally:
        for one in both:
            one.kill()
            one.wait()


def test_an_empty_start_refuses_a_link_and_leaves_what_it_leads_to(tmp_path: Path) -> None:
    thesis = tmp_path / "folder" / "thesis.txt"
    thesis.parent.mkdir()
    thesis.touch()
    (tmp_path / "link").symlink_to(thesis.parent)
    with pytest.raises(ValueError, match="is a link"):
        RunningStack.open_empty(tmp_path / "link")
    assert [*thesis.parent.iterdir()] == [thesis]


def test_down_stops_every_process(own_stack: RunningStack) -> None:
    family = memory.descendants(control.ask(own_stack.home.control_socket, cmd="ping")["pid"])
    own_stack.down()
    until_true(lambda: not any(map(is_alive, family[1:])), 15, "the end of every process")
    assert not own_stack.home.control_socket.exists()
