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
from mesh.controlplane.deliver.envelopes import named_resources
from mesh.controlplane.deliver.nodes import Translation
from mesh.controlplane.deliver.packed import Kind, snapshot
from mesh.controlplane.deliver.server import Server, Settings
from mesh.controlplane.passed_on import PassedOn
from mesh.pilot.admin import restarts
from mesh.pilot.compiling import Compiled
from mesh.pilot.delivery import Delivery
from mesh.pilot.last_good import LastGood
from mesh.pilot.places import Places
from ops.waiting import scaled_s, until
from tests.rigs.mesh.ads_client import Client
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


async def test_what_an_edit_removes_leaves_the_files_when_no_call_needs_it(
    places: Places, compiled: Compiled
) -> None:
    node, before = "payments-0", compiled.mesh
    kept = tuple(
        replace(each, partners=each.partners[1:]) if each.workload.node == node else each
        for each in before.sidecars
    )
    after = replace(before, sidecars=kept)
    less = Compiled(after, passed_on(), Translation().node_snapshots(after, passed_on()))
    written, folder = LastGood(places, kept_s=0.1), places.good(node).parent

    async def size(count: int) -> bool:
        path = folder / "cds.pb"
        return path.exists() and len(named_resources(path.read_bytes())) == count

    count = len(compiled.nodes[node].resources[Kind.CLUSTER])
    written.write(node, compiled)
    written.write(node, less)
    assert await size(count), "the calls of the replaced listener need it"
    async with _written(written):
        await until(lambda: size(count - 1), what="the partner has left the files")


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
    server = Server(cache)
    others = [places.good(node) for node in compiled.nodes if node != NODE]

    async def all_written() -> bool:
        return all(each.exists() for each in others)

    async with _written(files):
        await Delivery(places, cache, server, files).publish(compiled)
        await until(all_written, what="the files of the proxies without a start are written")
    await server.close()
    assert (good.read_text() != "the last good ones") == written


async def test_the_end_of_a_removed_stream_delays_no_other_proxy(
    places: Places, compiled: Compiled
) -> None:
    """Its callers learn at once that an instance is gone. Its stream ends when its client does."""
    cache = Cache(lambda: 0.0)
    server = Server(cache, Settings(grace_s=scaled_s(60)))
    delivery = Delivery(places, cache, server, LastGood(places))
    await delivery.publish(compiled)
    left = {node: each for node, each in compiled.nodes.items() if node != NODE}
    left["payments-0"] = snapshot("payments-0", [])
    client = Client(places.ads_socket(NODE))
    await client.ask(Kind.CLUSTER, NODE)
    await client.read()
    publishing = asyncio.create_task(delivery.publish(replace(compiled, nodes=left)))

    async def published() -> bool:
        return cache.snapshot("payments-0") is left["payments-0"]

    try:
        await until(published, 10, "another proxy has the new snapshot")
        assert not publishing.done()
    finally:
        await client.close()
        await publishing
        await server.close()
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


@pytest.mark.parametrize(
    ("start", "state", "waits"),
    [
        (Path("stream.json"), "NOT CONNECTED", True),
        (Path("last-good/bootstrap.json"), "NOT CONNECTED", False),
        (Path("../customers-pinned/bootstrap.json"), "PINNED", False),
        (None, "NOT CONNECTED", False),
    ],
)
async def test_a_proxy_without_a_stream_is_pinned_or_may_connect_again(
    places: Places, compiled: Compiled, start: Path | None, state: str, waits: bool
) -> None:
    """A pinned one gets no updates at all, so nothing waits for it, and the status says so."""
    for node in compiled.nodes:
        places.good(node).parent.mkdir(parents=True)
        places.good(node).write_text("{}")
    link = places.proxy(NODE) / "start.json"
    if start is None:
        places.good(NODE).unlink()
    else:
        link.symlink_to(start)
    for node in compiled.nodes.keys() - {NODE}:
        (places.proxy(node) / "start.json").symlink_to("last-good/bootstrap.json")
    cache = Cache(lambda: 0.0)
    server = Server(cache)
    delivery = Delivery(places, cache, server, LastGood(places))
    await delivery.publish(compiled)
    (found,) = (each for each in delivery.status() if each["node"] == NODE)
    assert found["state"] == state
    since_s = link.lstat().st_mtime if state == "PINNED" else None
    assert found["pinned_since_s"] == since_s
    assert delivery._connecting() == waits
    assert NODE in (await delivery.wait_synced(0.1, 0.1)).not_connected
    await server.close()
