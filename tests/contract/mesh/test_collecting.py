"""The control plane reads whole pages of counters from real proxies."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from mesh.pilot import collecting
from ops.waiting import until
from tests.rigs.mesh.proxies import ENVOY

CLUSTERS = 2_000


@pytest.fixture
async def admin_socket(tmp_path: Path) -> AsyncIterator[Path]:
    """Return the admin socket of a proxy with so many clusters that its page comes in parts."""
    socket = tmp_path / "admin.sock"
    clusters = [
        {"name": f"service/{number:04}", "type": "STATIC", "connect_timeout": "1s"}
        for number in range(CLUSTERS)
    ]
    bootstrap = tmp_path / "bootstrap.json"
    bootstrap.write_text(
        json.dumps(
            {
                "admin": {"address": {"pipe": {"path": str(socket)}}},
                "static_resources": {"clusters": clusters},
            }
        )
    )
    process = await asyncio.create_subprocess_exec(
        *(str(ENVOY), "-c", str(bootstrap), "--concurrency", "1"),
        *("--disable-hot-restart", "--log-level", "error"),
    )
    try:
        await until(lambda: _answers(socket), what="the proxy is ready")
        yield socket
    finally:
        process.kill()
        await process.wait()


async def _answers(socket: Path) -> bool:
    connector = aiohttp.UnixConnector(str(socket))
    try:
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.get("http://envoy/ready") as answer,
        ):
            return answer.status == 200
    except aiohttp.ClientError:
        return False


async def test_a_page_that_comes_in_parts_is_read_to_its_end(admin_socket: Path) -> None:
    """The first part alone is no JSON, and its last line may be the beginning of a number."""
    found = await collecting._read(admin_socket)
    assert len(found.clusters) == CLUSTERS


async def test_a_page_that_is_too_large_gives_no_sample(
    admin_socket: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counters that are cut off now and come back later would all be growth."""
    monkeypatch.setattr(collecting, "PAGE_BYTES_MAX", 10_000)
    with pytest.raises(ValueError, match="10000"):
        await collecting._read(admin_socket)
