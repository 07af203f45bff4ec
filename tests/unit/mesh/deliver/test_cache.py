"""The status of each node, what is reported, and the admission of streams."""

import asyncio

from mesh.controlplane.deliver.admission import NODES_MAX, Admission, TokenBucket
from mesh.controlplane.deliver.cache import Cache, Session
from mesh.controlplane.deliver.envelopes import Request, Response
from mesh.controlplane.deliver.packed import Kind, NodeSnapshot, Packed, pack, snapshot
from mesh.controlplane.deliver.protocol import Form
from mesh.controlplane.deliver.status import State
from ops.waiting import scaled_s


class World:
    """A cache with a clock that the test moves, and what it has reported."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.acked: list[tuple[str, str]] = []
        self.notified = 0
        self.cache = Cache(lambda: self.now_s, self._acked)

    def _acked(self, node: str, published: NodeSnapshot) -> None:
        self.acked.append((node, published.version))

    def _notify(self) -> None:
        self.notified += 1

    def connect(self, node: str = "n") -> Session:
        """Open a session that counts its notifications."""
        return self.cache.connect(node, Form.DELTA, self._notify)

    def state(self, kind: Kind = Kind.CLUSTER) -> State:
        """Return the state of a kind."""
        return self.cache.status("n").kinds[kind].state


def cluster(name: str, number: int = 1) -> Packed:
    """Return a cluster."""
    return pack(Kind.CLUSTER, name, f"{name} {number}".encode())


def having(*parts: Packed, node: str = "n") -> NodeSnapshot:
    """Return a snapshot."""
    return snapshot(node, parts)


def ack(response: Response, error: str | None = None) -> Request:
    """Return the answer to a response."""
    return Request(response.kind, nonce=response.nonce, error=error)


def ack_one(responses: list[Response], error: str | None = None) -> Request:
    """Return the answer to the one response."""
    (response,) = responses
    return ack(response, error)


def test_the_states_of_a_kind_follow_what_the_proxy_answers() -> None:
    world = World()
    world.cache.publish(having(cluster("a")))
    assert world.state() is State.NOT_CONNECTED
    session = world.connect()
    assert world.state() is State.NEVER_ACKED
    (first,) = session.request(Request(Kind.CLUSTER))
    assert world.state() is State.NEVER_ACKED
    assert session.request(ack(first)) == []
    assert world.state() is State.SYNCED
    world.now_s = 200.0
    world.cache.publish(having(cluster("a", 2)))
    (second,) = session.update()
    status = world.cache.status("n").kinds[Kind.CLUSTER]
    assert (status.state, status.since_s) == (State.STALE, 200.0)
    assert status.version != status.acked
    session.request(ack(second, "it is wrong"))
    status = world.cache.status("n").kinds[Kind.CLUSTER]
    assert (status.state, status.error) == (State.NACKED, "it is wrong")
    assert status.refused == ("a",)
    assert world.cache.status("n").state is State.NACKED
    world.cache.publish(having(cluster("a", 3)))
    session.request(ack_one(session.update()))
    assert world.state() is State.SYNCED
    world.cache.disconnect(session)
    assert world.state() is State.NOT_CONNECTED


def test_only_a_wholly_acknowledged_snapshot_is_reported_and_only_once() -> None:
    world = World()
    first = having(cluster("a"), pack(Kind.LISTENER, "l", b"l", [(Kind.CLUSTER, "a")]))
    world.cache.publish(first)
    session = world.connect()
    session.request(ack_one(session.request(Request(Kind.CLUSTER))))
    assert world.acked == []
    session.request(ack_one(session.request(Request(Kind.LISTENER))))
    assert world.acked == [("n", first.version)]
    session.request(Request(Kind.SECRET))
    assert world.acked == [("n", first.version)]
    bad = having(cluster("a", 2), *first.resources[Kind.LISTENER].values())
    world.cache.publish(bad)
    session.request(ack_one(session.update(), "no"))
    assert world.acked == [("n", first.version)]
    assert world.cache.status("n").acked == first.version


def test_an_equal_snapshot_notifies_nobody() -> None:
    world = World()
    session = world.connect()
    world.cache.publish(having(cluster("a")))
    assert world.notified == 1
    assert session.update() == []
    world.cache.publish(having(cluster("a")))
    assert world.notified == 1


def test_what_one_stream_refuses_is_not_sent_on_the_other_stream_of_the_node() -> None:
    world = World()
    world.cache.publish(having(cluster("a")))
    old, new = world.connect(), world.connect()
    old.request(ack_one(old.request(Request(Kind.CLUSTER)), "no"))
    (response,) = new.request(Request(Kind.CLUSTER))
    assert response.resources == ()
    world.cache.disconnect(old)
    world.cache.disconnect(new)
    (response,) = world.connect().request(Request(Kind.CLUSTER))
    assert response.resources == ()


def test_a_withdrawn_node_keeps_what_it_has() -> None:
    world = World()
    world.cache.publish(having(cluster("a")))
    session = world.connect()
    session.request(ack_one(session.request(Request(Kind.CLUSTER))))
    world.cache.withdraw("n")
    assert session.update() == []
    assert world.cache.snapshot("n") is None
    world.cache.disconnect(session)
    assert world.cache.nodes() == []


async def test_waiting_ends_when_all_nodes_have_acknowledged_or_refused() -> None:
    world = World()
    good, bad = having(cluster("a")), having(cluster("a"), node="m")
    sessions = {"n": world.connect(), "m": world.connect("m")}
    for each in (good, bad):
        world.cache.publish(each)
    versions = {each.node: each.version for each in (good, bad)}
    waiting = asyncio.create_task(world.cache.wait_synced(versions, 60))
    await asyncio.sleep(0)
    for name, session in sessions.items():
        assert not waiting.done()
        (response,) = session.request(Request(Kind.CLUSTER))
        session.request(ack(response, "no" if name == "m" else None))
    got = await waiting
    assert {name: each.acked == each.version for name, each in got.items()} == {
        "n": True,
        "m": False,
    }
    assert got["m"].state is State.NACKED
    again = await world.cache.wait_synced(versions, 60)
    assert again == got


async def test_waiting_for_a_node_that_is_not_connected_ends_with_the_timeout() -> None:
    world = World()
    world.cache.publish(having(cluster("a")))
    got = await world.cache.wait_synced({"n": having(cluster("a")).version}, 0.01)
    assert got["n"].state is State.NOT_CONNECTED


def test_a_reconnected_node_counts_as_acknowledged_only_when_it_says_so() -> None:
    world = World()
    published = having(cluster("a"))
    world.cache.publish(published)
    session = world.connect()
    session.request(ack_one(session.request(Request(Kind.CLUSTER))))
    world.cache.disconnect(session)
    again = world.connect()
    assert world.cache.status("n").acked == ""
    assert again.request(Request(Kind.CLUSTER, held={"a": cluster("a").version})) == []
    assert world.cache.status("n").acked == published.version
    assert len(world.acked) == 1


def test_the_bucket_gives_its_burst_and_then_its_rate() -> None:
    bucket = TokenBucket(rate_per_s=2.0, burst=3)
    assert [bucket.take(10.0) for _ in range(4)] == [True, True, True, False]
    assert [bucket.take(10.5) for _ in range(2)] == [True, False]
    assert [bucket.take(100.0) for _ in range(4)] == [True, True, True, False]
    # A clock that goes back gives nothing.
    assert not bucket.take(50.0)


def test_a_node_that_connects_in_a_loop_takes_nothing_from_the_others() -> None:
    admission = Admission(TokenBucket(rate_per_s=0.0, burst=20), node_per_s=1.0, node_burst=4)
    assert sum(admission.take("loop", 10.0) for _ in range(1_000)) == 4
    assert all(admission.take(f"calm {number}", 10.0) for number in range(16))
    assert not admission.take("calm", 10.0)


def test_many_nodes_that_connect_in_a_loop_leave_streams_to_calm_ones() -> None:
    admission = Admission(TokenBucket(rate_per_s=10.0, burst=20), node_per_s=0.1, node_burst=5)
    for second in range(60):
        loops = [admission.take(f"loop {n}", float(second)) for n in range(50) for _ in range(9)]
        assert sum(loops) <= 20
    assert sum(admission.take(f"calm {number}", 60.0) for number in range(30)) >= 10
    # A node gets its tokens back, and is calm again.
    assert admission.take("loop 0", 100.0)


def test_a_node_that_waits_for_its_turn_stays_calm() -> None:
    """All proxies come back at once after a restart of the control plane."""
    admission = Admission(TokenBucket(rate_per_s=1.0, burst=2), node_per_s=0.0, node_burst=2)
    waiting, second = {str(number) for number in range(20)}, 0.0
    while waiting:
        waiting = {node for node in waiting if not admission.take(node, second)}
        second += 1.0
    assert second == 19.0


def test_the_buckets_of_only_the_last_nodes_are_remembered() -> None:
    admission = Admission(TokenBucket(rate_per_s=0.0, burst=2 * NODES_MAX), 0.0, 1)
    for number in range(NODES_MAX + 1):
        assert admission.take(str(number), 1.0)
    assert admission.take("0", 1.0), "it was forgotten"
    assert not admission.take(str(NODES_MAX), 1.0)
    assert len(admission._nodes) == NODES_MAX


async def test_waiting_ends_with_a_newer_snapshot_that_the_node_acknowledges() -> None:
    """Another application came meanwhile: the node never gets the version before it."""
    world = World()
    first, second = having(cluster("a", 1)), having(cluster("a", 2))
    world.cache.publish(first)
    session = world.connect()
    waiting = asyncio.create_task(world.cache.wait_synced({"n": first.version}, 60))
    await asyncio.sleep(0)
    world.cache.publish(second)
    session.request(ack_one(session.request(Request(Kind.CLUSTER))))
    got = await asyncio.wait_for(waiting, scaled_s(30))
    assert got["n"].acked == got["n"].version == second.version


async def test_waiting_ends_when_the_node_is_withdrawn() -> None:
    """An instance was removed: nothing more is published for its proxy."""
    world = World()
    world.cache.publish(having(cluster("a")))
    session = world.connect()
    waiting = asyncio.create_task(world.cache.wait_synced({"n": having(cluster("a")).version}, 60))
    await asyncio.sleep(0)
    world.cache.disconnect(session)
    world.cache.withdraw("n")
    got = await asyncio.wait_for(waiting, scaled_s(30))
    assert got["n"].acked == got["n"].version == ""
