"""When last good files are written: after the proxies have settled, or at once."""

import asyncio
from pathlib import Path

import pytest

from mesh.controlplane.deliver.packed import Kind, pack, snapshot
from mesh.controlplane.passed_on import PassedOn
from mesh.pilot import last_good
from mesh.pilot.compiling import Compiled
from mesh.pilot.last_good import LastGood
from mesh.pilot.places import Places
from ops.waiting import until
from tests.rigs.mesh.fixed_places import mesh

MESH = mesh()
NODES = ("payments-0", "gateway-0")


class _Noted(LastGood):
    """Notes what would be written."""

    def __init__(self, folder: Path) -> None:
        super().__init__(Places(folder, folder / "run"))
        self.noted: list[tuple[str, str]] = []

    def write(self, node: str, compiled: Compiled) -> None:
        self.noted.append((node, compiled.nodes[node].version))


def _compiled(text: bytes) -> Compiled:
    resource = pack(Kind.CLUSTER, "c", text)
    return Compiled(MESH, PassedOn("true"), {node: snapshot(node, [resource]) for node in NODES})


async def test_acknowledgements_close_together_are_written_with_the_newest_version(
    tmp_path: Path,
) -> None:
    files, new = _Noted(tmp_path), _compiled(b"new")
    task = asyncio.create_task(files.run())
    for compiled in (_compiled(b"old"), new):
        for node in NODES:
            files.want(node, compiled)
    await until(lambda: _count(files, len(NODES)), 10)
    task.cancel()
    assert sorted(files.noted) == sorted((node, new.nodes[node].version) for node in NODES)


async def test_a_proxy_without_a_stream_does_not_wait_for_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(last_good, "QUIET_S", 1_000.0)
    monkeypatch.setattr(last_good, "QUIET_S_MAX", 1_000.0)
    files, new = _Noted(tmp_path), _compiled(b"new")
    task = asyncio.create_task(files.run())
    files.want(NODES[0], new)
    await asyncio.sleep(0)
    files.want(NODES[1], new, at_once=True)
    await until(lambda: _count(files, len(NODES)), 10)
    task.cancel()


async def _count(files: _Noted, count: int) -> bool:
    return len(files.noted) >= count
