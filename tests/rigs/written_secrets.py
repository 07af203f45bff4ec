"""Finds secrets in everything that the bank writes: logs, events, rows and Valkey's values.

Logs and events are searched from a moment on, before which the secrets did not exist. The logs of
the partners count too; their private state, such as the outbox of text messages, does not. No
process makes spans of traces yet, so there are none to search.
"""

import asyncio
import base64
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

from ops.judge.topics import Part, Seen, Span, Topics
from ops.provision.topics import partitions
from ops.waiting import until
from sandbox.app import App
from tests.rigs.logins import valkey
from tests.rigs.running_bank import Bank

PROXIES = ("gateway", "auth-sidecar")
"""The proxies on the way of a login."""
LEAVES = """
SELECT format('%I.%I', n.nspname, c.relname)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'm') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
"""
FOUND = """
WITH written AS MATERIALIZED (SELECT t::text AS line FROM {table} t)
SELECT p FROM unnest($1::text[]) p
WHERE EXISTS (SELECT FROM written w WHERE strpos(w.line, p) > 0)
"""
"""A row as text shows texts as they are and bytes in hexadecimal digits."""
FLUSH_S = 25
"""Envoy writes its log every ten seconds."""
FLUSHES_MAX = 4


def forms(secret: str | bytes) -> set[bytes]:
    """Return how a secret may be written: as it is, in hexadecimal digits, and in base64."""
    raw = secret.encode() if isinstance(secret, str) else secret
    encoded = {base64.b64encode(raw), base64.urlsafe_b64encode(raw)}
    return {raw, raw.hex().encode(), *(one.rstrip(b"=") for one in encoded)}


def forms_of_code(code: str) -> set[bytes]:
    """Return how a code of six digits may be written. Six digits alone are in many numbers, so the
    forms have the signs around them: those of JSON, of a message, of Python and of protobuf."""
    around = ('"{}"', "'{}'", "#{}", "={}", ": {} ", "\x06{}", "otp {}", "code {}")
    return {one.format(code).encode() for one in around} | {
        bytes([6]).hex().encode() + code.encode().hex().encode()
    }


def slice_of(picture: bytes) -> bytes:
    """Return a part from the middle of a picture, which its base64 shows whole."""
    start = len(picture) // 6 * 3
    return picture[start : start + 48]


@dataclass(frozen=True)
class Moment:
    """A moment from which on logs and events are searched."""

    bank: Bank
    log_bytes: Mapping[Path, int]
    ends: Mapping[Part, int]

    @classmethod
    async def now(cls, bank: Bank) -> "Moment":
        """Return the present moment."""
        sizes = {file: file.stat().st_size for file in _logs(bank)}
        spans = await asyncio.to_thread(_spans, bank)
        return cls(bank, sizes, {part: span.high for part, span in spans.items()})

    async def written(
        self, secrets: Mapping[str, set[bytes]], databases: Sequence[str] = ()
    ) -> list[str]:
        """Return where the bank has written which secret: the name of the place and of the secret.

        `databases` limits the search of rows to some databases; () means all.
        """
        await _flush(self.bank)
        places = [*self._logged(), *await asyncio.to_thread(self._events)]
        async with valkey(self.bank) as client:
            places += [place async for place in _values(client)]
        found = [
            f"{name} in {place}"
            for place, content in places
            for name, ways in secrets.items()
            if any(way in content for way in ways)
        ]
        for database in databases or await self._databases():
            found += await self._rows(database, secrets)
        return found

    def _logged(self) -> list[tuple[str, bytes]]:
        logs = [(file, file.read_bytes()) for file in _logs(self.bank)]
        return [(file.name, content[self.log_bytes.get(file, 0) :]) for file, content in logs]

    def _events(self) -> list[tuple[str, bytes]]:
        seen: list[Seen] = []
        topics = Topics(self.bank.where["BP_KAFKA_BOOTSTRAP"])
        spans = {
            part: Span(self.ends.get(part, 0), span.high)
            for part, span in _spans(self.bank).items()
        }
        topics.read(spans, seen.append)
        return [(f"topic {one.topic}", _whole(one)) for one in seen]

    async def _databases(self) -> list[str]:
        sql = "SELECT datname FROM pg_database WHERE NOT datistemplate AND datname <> 'postgres'"
        return [row["datname"] for row in await self.bank.rows("postgres", sql)]

    async def _rows(self, database: str, secrets: Mapping[str, set[bytes]]) -> list[str]:
        # PostgreSQL's text has no NUL and only UTF-8; a secret of other bytes is sought as digits.
        names = {
            way.decode(): name for name, ways in secrets.items() for way in ways if _is_text(way)
        }
        connection = await self.bank.connect(database)
        try:
            tables = [row[0] for row in await connection.fetch(LEAVES)]
            assert tables, database
            return [
                f"{names[row[0]]} in {database} {table}"
                for table in tables
                for row in await connection.fetch(FOUND.format(table=table), list(names))
            ]
        finally:
            await connection.close()


async def _flush(bank: Bank) -> None:
    """Wait until the proxies have written the lines of all earlier calls: Envoy buffers them.

    They log calls that fail or take long, so the last call fails: its text message is not sent.
    """
    app = await App.of(bank, await bank.customer())
    for _ in range(FLUSHES_MAX):
        if await _is_logged(bank, await _failed(bank, app)):
            return
    raise TimeoutError("the proxies did not write the last call to their logs")


async def _failed(bank: Bank, app: App) -> str:
    """Let a login fail at the SMS gateway; return the request's id.

    A success ends the series of failures, which would otherwise open the circuit breaker.
    """
    fault = await bank.fault("sms", kind="http_5xx")
    last = await app.login()
    await bank.control("sms", "DELETE", f"/control/faults/{fault}")
    assert last.status == 503, last.text
    await app.login()
    return last.headers["X-Request-Id"]


async def _is_logged(bank: Bank, request_id: str) -> bool:
    """Wait until each proxy has logged a request; False if one of them does not know it."""
    files = [bank.stack.home.logs / f"{name}.log" for name in PROXIES]

    async def written() -> bool:
        return all(request_id in file.read_text() for file in files)

    try:
        return await until(written, FLUSH_S, "the proxies write the last call to their logs")
    except TimeoutError:
        return False


def _logs(bank: Bank) -> list[Path]:
    return sorted(bank.stack.home.logs.glob("*.log*"))


def _spans(bank: Bank) -> dict[Part, Span]:
    topics = Topics(bank.where["BP_KAFKA_BOOTSTRAP"])
    return topics.spans(partitions())


def _whole(seen: Seen) -> bytes:
    headers = seen.message.headers() or []
    return b"\n".join([seen.message.key() or b"", seen.value, repr(headers).encode()])


def _is_text(way: bytes) -> bool:
    try:
        return "\0" not in way.decode()
    except UnicodeDecodeError:
        return False


async def _values(client: Redis) -> AsyncIterator[tuple[str, bytes]]:
    """Yield each key of Valkey with its value; a value that ended meanwhile is empty."""
    read: dict[bytes, Any] = {
        b"string": client.get,
        b"hash": client.hgetall,
        b"list": lambda key: client.lrange(key, 0, -1),
        b"zset": lambda key: client.zrange(key, 0, -1, withscores=True),
        b"set": client.smembers,
        b"none": client.get,
    }
    async for key in client.scan_iter(count=1000):
        kind: Any = await client.type(key)
        value: Any = await read[kind](key)
        parts = value if isinstance(value, bytes) else repr(value).encode()
        yield f"Valkey {key[:24]!r}", key + b"\n" + (parts or b"")
