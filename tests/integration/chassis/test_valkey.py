"""The client of Valkey: rights of each user, lost scripts, a server that is stopped or refuses."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest
import pytest_asyncio
from redis.asyncio import Redis
from redis.exceptions import NoPermissionError, RedisError

from ops.provision.valkey import JUDGE, OPERATOR, PROBE, RIGHTS
from ops.provision.vault import readable_paths
from ops.waiting import until
from sandbox.stack.supervisor.probes import RedisProbe
from services.chassis import valkey as chassis_valkey
from services.chassis.periodic import repeat
from services.chassis.unreachable import UNREACHABLE, is_unreachable
from tests.rigs.stores import ValkeyStore, valkey_store

READERS = [name for name in RIGHTS if name != "auth"]
AUTH_KEYS = (
    *("session:1", "otp:1", "tries:1", "resets:1", "refresh:1", "family:1", "sends:1", "faces:1"),
    "revoked",
)


@pytest_asyncio.fixture
async def auth(valkey: ValkeyStore) -> AsyncGenerator[Redis]:
    """Auth's own login."""
    client = valkey.client("auth")
    yield client
    await client.aclose()


@pytest.mark.parametrize("service", READERS)
async def test_a_reader_reads_the_revoked_sessions_and_nothing_else(
    valkey: ValkeyStore, auth: Redis, service: str
) -> None:
    await auth.delete("revoked")
    await auth.zadd("revoked", {"one": 5})
    await auth.set("revoked:version", 1)
    await auth.set("session:1", "secret")
    reader = valkey.client(service)
    try:
        assert await reader.zrangebyscore("revoked", 1, "+inf") == [b"one"]
        assert await reader.get("revoked:version") == b"1"
        for refused in (
            reader.get("session:1"),
            reader.zadd("revoked", {"two": 6}),
            reader.set("revoked:version", 2),
            reader.delete("revoked"),
            reader.keys("*"),
            reader.execute_command("SCAN", 0),
            reader.eval("return redis.call('GET', KEYS[1])", 1, "session:1"),
            reader.execute_command("ACL", "LIST"),
            reader.config_get("*"),
        ):
            with pytest.raises(NoPermissionError):
                await refused
    finally:
        await reader.aclose()


async def test_auth_writes_its_own_keys_and_nothing_else(auth: Redis) -> None:
    for key in AUTH_KEYS:
        await auth.delete(key)
        await auth.eval("return redis.call('SET', KEYS[1], ARGV[1], 'EX', 60)", 1, key, "value")
    for refused in (
        auth.set("other", "value"),
        auth.eval("return redis.call('SET', KEYS[1], '1')", 1, "other"),
        auth.flushall(),
        auth.keys("*"),
        auth.config_set("maxmemory", "1"),
        auth.script_flush(),
        auth.execute_command("ACL", "LIST"),
        auth.execute_command("MONITOR"),
        auth.publish("channel", "message"),
        auth.shutdown(),
    ):
        with pytest.raises(RedisError, match=r"(?i)perm"):
            await refused
    await auth.delete(*AUTH_KEYS)


@pytest.mark.parametrize("user", [*RIGHTS, JUDGE])
async def test_each_user_may_check_a_connection_that_was_idle(
    valkey: ValkeyStore, monkeypatch: pytest.MonkeyPatch, user: str
) -> None:
    """The client sends PING before the next command."""
    operator = valkey.client(OPERATOR)  # it sends no PING of its own
    monkeypatch.setattr(chassis_valkey, "CHECK_AFTER_S", 0.001)
    client = valkey.client(user)

    async def ask() -> None:
        await (client.zmscore("revoked", ["1"]) if user == JUDGE else client.get("revoked:version"))

    async def pings() -> int:
        stats = await operator.info("commandstats")
        return stats.get("cmdstat_ping", {"calls": 0})["calls"]

    try:
        await ask()
        before = await pings()
        await asyncio.sleep(0.01)
        await ask()
        assert await pings() > before
    finally:
        await client.aclose()
        await operator.aclose()


def test_only_the_service_itself_reads_the_secret_of_its_login() -> None:
    readers = {
        path: [name for name, paths in readable_paths().items() if path in paths]
        for path in (f"secret/data/valkey/{service}" for service in RIGHTS)
    }
    assert readers == {f"secret/data/valkey/{service}": [service] for service in RIGHTS}


@pytest.mark.parametrize("user", ["default", "auth", "unknown"])
async def test_a_wrong_password_is_refused(valkey: ValkeyStore, user: str) -> None:
    assert not await RedisProbe(str(valkey.part.socket), user, "wrong").check()


async def test_a_connection_without_a_login_can_do_nothing(valkey: ValkeyStore) -> None:
    reader, writer = await asyncio.open_unix_connection(str(valkey.part.socket))
    try:
        for command in (b"PING", b"GET revoked", b"INFO"):
            writer.write(command + b"\r\n")
            assert (await reader.readline()).startswith(b"-NOAUTH")
    finally:
        writer.close()


def test_the_file_of_users_has_no_password(valkey: ValkeyStore) -> None:
    text = valkey.part.acl_file.read_text()
    assert valkey.part.acl_file.stat().st_mode & 0o777 == 0o600
    for user in (*RIGHTS, PROBE, OPERATOR):
        assert f"user {user} on #" in text
        assert valkey.credentials.derived(f"valkey/{user}") not in text


async def test_a_script_works_after_the_server_lost_it(valkey: ValkeyStore, auth: Redis) -> None:
    script = auth.register_script("return redis.call('INCR', KEYS[1])")
    operator = valkey.client(OPERATOR)
    try:
        assert await script(["tries:script"]) == 1
        await operator.script_flush()
        assert await script(["tries:script"]) == 2
        await operator.delete("tries:script")
    finally:
        await operator.aclose()


async def test_a_client_uses_a_restarted_server_and_reports_a_stopped_one_as_unreachable(
    tmp_path: Path,
) -> None:
    async with valkey_store(tmp_path / "restarted") as store:
        client = store.client("auth")
        try:
            await client.set("session:kept", "1")
            await store.runner.stop()
            with pytest.raises(RedisError) as raised:
                await client.get("session:kept")
            assert is_unreachable(raised.value)
            await store.runner.start()
            assert await store.runner.wait_ready()
            assert await client.get("session:kept") == b"1"
        finally:
            await client.aclose()


async def test_a_full_server_is_unreachable_for_writers(tmp_path: Path) -> None:
    async with valkey_store(tmp_path / "full") as store:
        client, operator = store.client("auth"), store.client(OPERATOR)
        try:
            await operator.config_set("maxmemory", "1")
            with pytest.raises(RedisError) as raised:
                await client.set("session:1", "1")
            assert is_unreachable(raised.value)
            with pytest.raises(RedisError) as raised:
                await client.eval("return redis.call('SET', KEYS[1], '1')", 1, "session:1")
            assert is_unreachable(raised.value)
        finally:
            await client.aclose()
            await operator.aclose()


async def _fail_snapshot(store: ValkeyStore, operator: Redis) -> None:
    """Take a snapshot that cannot be written, because a folder has the file's name."""
    file = store.part.home.data / "valkey" / "dump.rdb"
    file.unlink(missing_ok=True)
    (file / "folder").mkdir(parents=True)
    await operator.bgsave()

    async def has_failed() -> bool:
        persistence = await operator.info("persistence")
        return persistence["rdb_last_bgsave_status"] == "err"

    await until(has_failed, what="the snapshot fails")


async def _no_snapshot(store: ValkeyStore, operator: Redis) -> None:
    """With the server's default, which the bank does not use: a failed snapshot refuses writes."""
    await operator.config_set("stop-writes-on-bgsave-error", "yes")
    await _fail_snapshot(store, operator)


async def _no_replica(_: ValkeyStore, operator: Redis) -> None:
    await operator.config_set("min-replicas-to-write", 1)


async def _read_only(_: ValkeyStore, operator: Redis) -> None:
    await operator.execute_command("REPLICAOF", "127.0.0.1", "1")


async def _no_primary(_: ValkeyStore, operator: Redis) -> None:
    await operator.config_set("replica-serve-stale-data", "no")
    await operator.execute_command("REPLICAOF", "127.0.0.1", "1")


REFUSALS: dict[str, Callable[[ValkeyStore, Redis], Awaitable[None]]] = {
    "MISCONF": _no_snapshot,
    "NOREPLICAS": _no_replica,
    "READONLY": _read_only,
    "MASTERDOWN": _no_primary,
}


@pytest.mark.parametrize("code", REFUSALS)
async def test_a_server_that_accepts_no_writes_is_unreachable(tmp_path: Path, code: str) -> None:
    """A caller gets a 503, and a loop in the background waits until the cause is removed."""
    async with valkey_store(tmp_path / code.lower()) as store:
        client, operator = store.client("auth"), store.client(OPERATOR)
        try:
            await REFUSALS[code](store, operator)
            await _require_unreachable(client)
            await _require_patient_loop(client, operator)
        finally:
            await client.aclose()
            await operator.aclose()


async def _require_unreachable(client: Redis) -> None:
    """A command, a script and a transaction fail with an error of an unreachable server."""
    async with client.pipeline(transaction=True) as pipe:
        pipe.set("session:1", "1")
        for call in (
            lambda: client.set("session:1", "1"),
            lambda: client.eval("return redis.call('SET', KEYS[1], '1')", 1, "session:1"),
            pipe.execute,
        ):
            with pytest.raises(RedisError) as raised:
                await call()
            assert is_unreachable(raised.value), raised.value
            assert isinstance(raised.value, UNREACHABLE)


async def _require_patient_loop(client: Redis, operator: Redis) -> None:
    """A loop retries, and its work succeeds after the server accepts writes."""
    begun: list[str] = []
    done: list[str] = []

    async def write() -> None:
        begun.append("call")
        await client.set("session:1", "1")
        done.append("call")

    async def has_retried() -> bool:
        return loop.done() or len(begun) > 2

    async def has_written() -> bool:
        return bool(done)

    async def has_ended() -> bool:
        # The driver loses a cancellation that comes at the end of its own time limit.
        loop.cancel()
        return loop.done()

    loop = asyncio.create_task(repeat("write", write, every_s=0.01))
    try:
        await until(has_retried, what="the loop retries")
        assert (loop.done(), done) == (False, [])
        await operator.execute_command("REPLICAOF", "NO", "ONE")
        await operator.config_set("min-replicas-to-write", 0)
        await operator.config_set("stop-writes-on-bgsave-error", "no")
        await until(has_written, what="the loop writes again")
    finally:
        await until(has_ended, what="the loop ends")


async def test_a_server_that_runs_a_long_script_is_unreachable(tmp_path: Path) -> None:
    async with valkey_store(tmp_path / "busy") as store:
        client, operator = store.client("auth"), store.client(OPERATOR)
        other = store.client(OPERATOR)
        try:
            await client.get("session:1")
            await operator.config_set("busy-reply-threshold", 1)
            endless = asyncio.ensure_future(other.eval("while true do end", 0))
            refused: list[RedisError] = []

            async def is_refused() -> bool:
                try:
                    await client.get("session:1")
                except RedisError as error:
                    refused.append(error)
                return bool(refused)

            await until(is_refused, what="the server refuses a call")
            assert is_unreachable(refused[0]), refused
            await operator.script_kill()
            with suppress(RedisError):
                await endless
            assert await client.get("session:1") is None
        finally:
            for each in (client, operator, other):
                await each.aclose()


async def test_a_failed_snapshot_refuses_no_write_and_no_stop(tmp_path: Path) -> None:
    """The append-only file keeps each write, so neither needs a snapshot."""
    async with valkey_store(tmp_path / "snapshot") as store:
        client, operator = store.client("auth"), store.client(OPERATOR)
        try:
            await _fail_snapshot(store, operator)
            assert await client.set("session:1", "1")
            await store.runner.stop()
            await store.runner.start()
            assert await store.runner.wait_ready()
            assert await client.get("session:1") == b"1"
        finally:
            await client.aclose()
            await operator.aclose()


async def test_calls_beyond_the_pool_wait_and_are_answered(auth: Redis) -> None:
    many = 4 * chassis_valkey.CONNECTIONS_MAX
    answers = await asyncio.gather(*(auth.incr("tries:many") for _ in range(many)))
    assert sorted(answers) == list(range(1, many + 1))
    await auth.delete("tries:many")
