"""A real Envoy gets all kinds by one stream, and no call fails while they change."""

import asyncio
import shutil
import signal

from mesh.controlplane.deliver.packed import Kind
from mesh.controlplane.deliver.server import Settings
from mesh.controlplane.deliver.status import State
from ops.waiting import until
from tests.rigs.mesh import ads_resources as parts
from tests.rigs.mesh.ads import NODE, Driven, Load, states


async def test_all_kinds_reach_the_proxy_and_are_acknowledged(driven: Driven) -> None:
    snapshot = parts.usual(NODE, driven.places)
    status = await driven.published(snapshot)
    assert set(states(status).values()) == {State.SYNCED}
    assert driven.acked == [snapshot.version]
    assert status.acked == status.version == snapshot.version

    async def serves() -> bool:
        return (await driven.get())[0] == "True"

    await until(serves, what="the call goes over TLS")
    assert (await driven.stats("warming"))["cluster_manager.warming_clusters"] == 0


async def test_an_edit_of_routes_and_clusters_fails_no_call(driven: Driven) -> None:
    await driven.published(parts.usual(NODE, driven.places, target="secure"))
    await until(lambda: _reached(driven, "True"))
    load, stop = Load(), asyncio.Event()
    calling = asyncio.create_task(driven.load(load, stop))
    try:
        for number in range(6):
            name = f"new-{number}"
            fresh = parts.cluster_of(name, parts.OWN if number % 2 else None)
            port = driven.places.secure if number % 2 else driven.places.plain
            routes = parts.routes_of(name, f"mark-{number}")
            snapshot = parts.usual(
                NODE, driven.places, fresh, parts.endpoints_of(name, port), routes
            )
            await driven.published(snapshot)
            before = load.calls
            await until(lambda b=before: _more(load, b + 5), what="calls with the new routes")
    finally:
        stop.set()
        await calling
    assert load.failed == []
    assert [each for each in ("mark-0", "mark-5") if each in load.marks] == ["mark-0", "mark-5"]
    # The replaced clusters are gone, and none of the others.
    assert await driven.clusters() == {"plain", "secure", "new-5"}


async def _reached(driven: Driven, body: str) -> bool:
    try:
        return (await driven.get())[0] == body
    except OSError:
        return False


async def _more(load: Load, calls: int) -> bool:
    return load.calls >= calls


async def test_a_changed_cluster_gets_its_endpoints_again_and_does_not_stay_warming(
    driven: Driven,
) -> None:
    await driven.published(parts.usual(NODE, driven.places, target="plain"))
    for seconds in (6.0, 7.0, 8.0):
        changed = parts.cluster_of("plain", connect_s=seconds)
        await driven.published(parts.usual(NODE, driven.places, changed, target="plain"))
        assert (await driven.stats("warming"))["cluster_manager.warming_clusters"] == 0
    # Nothing waited for Envoy's own timeout.
    timeouts = await driven.stats("init_fetch_timeout")
    assert {name: count for name, count in timeouts.items() if count} == {}


async def test_a_cluster_with_a_new_secret_that_is_withdrawn_at_once_does_not_stay_warming(
    driven: Driven,
) -> None:
    usual = parts.usual(NODE, driven.places)
    await driven.published(usual)
    folder = driven.places.certificate
    fresh = [
        parts.cluster_of("fresh", "other"),
        parts.certificate_of("other", folder),
        parts.endpoints_of("fresh", driven.places.secure),
    ]
    for _ in range(5):
        driven.cache.publish(parts.usual(NODE, driven.places, *fresh))
        await asyncio.sleep(0)
        driven.cache.publish(usual)
        await asyncio.sleep(0)
    status = await driven.published(parts.usual(NODE, driven.places, *fresh))
    assert set(states(status).values()) == {State.SYNCED}
    assert (await driven.stats("warming"))["cluster_manager.warming_clusters"] == 0
    await driven.published(usual)
    assert await driven.clusters() == {"plain", "secure"}
    timeouts = await driven.stats("init_fetch_timeout")
    assert {name: count for name, count in timeouts.items() if count} == {}


async def test_a_refused_cluster_keeps_its_last_good_version_and_the_others_are_applied(
    driven: Driven,
) -> None:
    await driven.published(parts.usual(NODE, driven.places, target="plain"))
    more = [
        parts.cluster_of("plain", connect_s=0.0),
        parts.cluster_of("better"),
        parts.endpoints_of("better", driven.places.plain),
        parts.routes_of("better", "better"),
    ]
    status = await driven.published(parts.usual(NODE, driven.places, *more))
    cluster = status.kinds[Kind.CLUSTER]
    assert cluster.state is State.NACKED
    assert cluster.refused == ("plain",)
    assert "onnect_timeout" in cluster.error.lower().replace("connecttimeout", "connect_timeout")
    assert states(status)[Kind.ROUTES] is State.SYNCED
    assert len(driven.acked) == 1
    assert await driven.clusters() == {"plain", "secure", "better"}
    await until(lambda: _marked(driven, "better"))
    # The refused bytes are not sent again, neither with the next edit nor to a restarted Envoy.
    refused = await driven.stats("cds.update_rejected")
    repaired = [*more[1:], parts.extension_of("two")]
    await driven.published(parts.usual(NODE, driven.places, more[0], *repaired))
    assert await driven.stats("cds.update_rejected") == refused
    await driven.start_envoy()
    await until(lambda: _marked(driven, "better"))
    assert set((await driven.stats("cds.update_rejected")).values()) == {0}
    assert await driven.clusters() == {"plain", "secure", "better"}
    status = await driven.published(parts.usual(NODE, driven.places, *repaired))
    assert set(states(status).values()) == {State.SYNCED}


async def test_a_secret_with_a_bad_file_takes_only_its_own_calls_away_until_the_file_is_good(
    driven: Driven,
) -> None:
    folder = driven.home / "bad"
    folder.mkdir()
    (folder / "ca.pem").write_text("garbage")
    bad = parts.authority_of(parts.ROOT, folder)
    driven.cache.publish(parts.usual(NODE, driven.places, bad, parts.routes_of("plain", "plain")))

    async def refused() -> bool:
        return driven.cache.status(NODE).kinds[Kind.SECRET].refused == (parts.ROOT,)

    await until(refused)
    await until(lambda: _marked(driven, "plain"))
    shutil.copy(driven.home / "certs" / "ca.pem", folder / "ca.pem")
    driven.cache.retry(Kind.SECRET)
    last = parts.usual(NODE, driven.places, bad, parts.routes_of("secure", "secure"))
    status = await driven.published(last)
    assert set(states(status).values()) == {State.SYNCED}
    await until(lambda: _marked(driven, "secure"))


async def _marked(driven: Driven, mark: str) -> bool:
    try:
        return (await driven.get())[1] == mark
    except OSError:
        return False


async def test_refused_routes_keep_their_cluster(driven: Driven) -> None:
    first = parts.usual(
        NODE,
        driven.places,
        parts.cluster_of("old"),
        parts.endpoints_of("old", driven.places.plain),
        parts.routes_of("old", "old"),
    )
    await driven.published(first)
    # The new snapshot has no cluster `old`, but the routes that replace it are refused.
    status = await driven.published(
        parts.usual(NODE, driven.places, parts.routes_of("plain", "bad", regex="["))
    )
    assert status.kinds[Kind.ROUTES].refused == (parts.ROUTES,)
    assert await driven.clusters() == {"plain", "secure", "old"}
    assert (await driven.get())[1] == "old"


async def test_a_restarted_control_plane_sends_only_what_differs(driven: Driven) -> None:
    await driven.published(parts.usual(NODE, driven.places))
    await until(lambda: _reached(driven, "True"))
    load, stop = Load(), asyncio.Event()
    calling = asyncio.create_task(driven.load(load, stop))
    before = await driven.stats("update_success")
    await driven.server.close()
    driven.new_control_plane()
    snapshot = parts.usual(NODE, driven.places, parts.routes_of("secure", "after"))
    driven.cache.publish(snapshot)
    await driven.server.serve(NODE, driven.socket)
    status = await driven.settled(snapshot)
    stop.set()
    await calling
    assert load.failed == []
    assert set(states(status).values()) == {State.SYNCED}
    after = await driven.stats("update_success")
    changed = {name for name, count in after.items() if count != before.get(name)}
    assert changed == {f"http.front.rds.{parts.ROUTES}.update_success"}


async def test_a_hanging_proxy_is_disconnected_and_gets_the_last_snapshot_afterwards(
    driven: Driven,
) -> None:
    await driven.server.close()
    driven.new_control_plane(Settings(keepalive_s=0.2, keepalive_timeout_s=0.2))
    driven.cache.publish(parts.usual(NODE, driven.places))
    await driven.server.serve(NODE, driven.socket)
    await driven.settled(parts.usual(NODE, driven.places))
    assert driven.envoy is not None
    driven.envoy.send_signal(signal.SIGSTOP)
    for number in range(3):
        driven.cache.publish(
            parts.usual(NODE, driven.places, parts.routes_of("secure", f"mark-{number}"))
        )
    await until(lambda: _connected(driven, False), what="the server ends the stream")
    driven.envoy.send_signal(signal.SIGCONT)
    last = parts.usual(NODE, driven.places, parts.routes_of("secure", "mark-2"))
    status = await driven.settled(last)
    assert set(states(status).values()) == {State.SYNCED}
    await until(lambda: _marked(driven, "mark-2"))


async def _connected(driven: Driven, wanted: bool) -> bool:
    return (driven.cache.status(NODE).streams > 0) == wanted
