"""The files from which proxies start without a control plane."""

import asyncio
import contextlib
import shutil
import stat
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from mesh.controlplane.deliver.cache import Cache
from mesh.controlplane.deliver.nodes import Translation
from mesh.controlplane.deliver.packed import snapshot
from mesh.controlplane.deliver.server import Server
from mesh.controlplane.passed_on import PassedOn
from mesh.pilot.admin import restarts
from mesh.pilot.compiling import Compiled
from mesh.pilot.delivery import Delivery
from mesh.pilot.last_good import LastGood
from mesh.pilot.places import Places
from ops.waiting import until
from tests.rigs.mesh.fixed_places import mesh, passed_on

NODE = "customers-0"


@pytest.fixture(scope="module")
def compiled() -> Compiled:
    """Return the bank's own configuration."""
    return Compiled(mesh(), passed_on(), Translation().node_snapshots(mesh(), passed_on()))


@pytest.fixture
def places(tmp_path: Path) -> Places:
    """Return the places of a new bank."""
    return Places(tmp_path, tmp_path / "run")


@asynccontextmanager
async def _written(files: LastGood) -> AsyncGenerator[None]:
    task = asyncio.create_task(files.run())
    yield
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_an_instance_that_starts_again_has_its_files_again(
    places: Places, compiled: Compiled
) -> None:
    """The stack removed its folder when it stopped; its configuration is the same."""
    files, good = LastGood(places), places.good(NODE)

    async def exists() -> bool:
        return good.exists()

    async with _written(files):
        for _ in range(2):
            files.want(NODE, compiled)
            await until(exists, what="the files are written")
            await asyncio.sleep(0)
            shutil.rmtree(places.proxy(NODE))


@pytest.mark.parametrize(
    ("start", "written"),
    [("stream.json", False), ("last-good/bootstrap.json", True), (None, False)],
)
async def test_after_a_restart_only_proxies_that_read_files_get_them_unacknowledged(
    places: Places, compiled: Compiled, start: str | None, written: bool
) -> None:
    """A proxy with a stream may have refused this configuration, and its files are the last good
    ones; it acknowledges soon what it accepts."""
    good = places.good(NODE)
    good.parent.mkdir(parents=True)
    good.write_text("the last good ones")
    if start:
        (places.proxy(NODE) / "start.json").symlink_to(start)
    cache, files = Cache(lambda: 0.0), LastGood(places)
    wanted: list[str] = []
    files.want = lambda node, *_, **__: wanted.append(node)  # pyright: ignore[reportAttributeAccessIssue]
    server = Server(cache)
    await Delivery(places, cache, server, files).publish(compiled)
    await server.close()
    assert (NODE in wanted) == written
    assert "payments-0" in wanted


async def test_the_end_of_a_removed_stream_delays_no_other_proxy(
    places: Places, compiled: Compiled
) -> None:
    """Its callers learn at once that an instance is gone."""
    cache = Cache(lambda: 0.0)
    server = Server(cache)
    delivery = Delivery(places, cache, server, LastGood(places))
    await delivery.publish(compiled)
    left = {node: each for node, each in compiled.nodes.items() if node != NODE}
    left["payments-0"] = snapshot("payments-0", [])
    seen: list[bool] = []
    stop = server.stop

    async def stopped(path: Path) -> None:
        seen.append(cache.snapshot("payments-0") is left["payments-0"])
        await stop(path)

    server.stop = stopped  # pyright: ignore[reportAttributeAccessIssue]
    await delivery.publish(replace(compiled, nodes=left))
    server.stop = stop  # pyright: ignore[reportAttributeAccessIssue]
    await server.close()
    assert seen == [True]
    assert cache.snapshot(NODE) is None


def test_the_folders_of_a_proxy_exist_before_another_thread_writes_into_them(
    tmp_path: Path,
) -> None:
    """While a socket is bound, the umask takes the right to enter from each new folder."""
    places = Places(tmp_path, tmp_path / "run")
    LastGood(places).want("payments-0", Compiled(mesh(), PassedOn("true"), {}))
    for path in (places.proxy("payments-0") / "last-good", *places.proxy("payments-0").rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert (places.proxy("payments-0") / "last-good" / "sds").is_dir()


async def test_another_limit_of_the_gateways_memory_is_shown_and_is_in_its_next_bootstrap(
    tmp_path: Path,
) -> None:
    """It changes no resource, only the bootstrap, so the version of the resources is the same."""
    places, before = Places(tmp_path, tmp_path / "run"), mesh()
    edge, node = before.edge, before.edge.workload.node
    smaller = replace(edge.workload, heap_bytes_max=4096)
    after = replace(before, edge=replace(edge, workload=smaller))
    assert restarts(before, before) == restarts(None, after) == []
    assert restarts(before, after) == [node]

    written, bootstrap = LastGood(places), places.proxy(node) / "last-good" / "bootstrap.json"
    task = asyncio.create_task(written.run())
    try:
        for each, limit in ((before, edge.workload.heap_bytes_max), (after, 4096)):
            written.want(node, Compiled(each, passed_on(), {node: snapshot(node, ())}))

            async def there(limit: int | None = limit) -> bool:
                return bootstrap.exists() and f'"{limit}"' in bootstrap.read_text()

            await until(there, 10, f"the bootstrap has the limit {limit}")
    finally:
        task.cancel()
