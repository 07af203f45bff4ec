"""Who may open a stream, how many, and how streams end."""

import asyncio
import contextlib
import socket
import stat
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import grpc
import pytest

from mesh.controlplane.deliver.cache import Cache
from mesh.controlplane.deliver.packed import Kind, NodeSnapshot, Packed, pack, snapshot
from mesh.controlplane.deliver.server import ANY_NODE, Server, Settings
from mesh.controlplane.deliver.status import State
from ops.waiting import scaled_s, until
from tests.rigs.mesh.ads_client import METHODS, Client

NODE, OTHER = "payments-0", "audit-0"
SETTINGS = Settings(
    streams_per_s=0.0, burst=8, node_burst=100, first_request_s=scaled_s(1), grace_s=0.1
)


def cluster(number: int = 1) -> Packed:
    """Return a cluster."""
    return pack(Kind.CLUSTER, "one", f"one {number}".encode())


@dataclass
class Served:
    """A server with one socket, and clients that end with the test."""

    cache: Cache
    server: Server
    folder: Path
    stack: AsyncExitStack

    @property
    def path(self) -> Path:
        """The node's socket."""
        return self.folder / "ads.sock"

    def client(self, form: str = "Delta", path: Path | None = None) -> Client:
        """Open a stream."""
        made = Client(path or self.path, form)
        self.stack.push_async_callback(made.close)
        return made


@pytest.fixture
async def served(tmp_path_factory) -> AsyncIterator[Served]:
    """Return a server on the socket of one node."""
    cache = Cache(time.time)
    server = Server(cache, SETTINGS)
    async with AsyncExitStack() as stack:
        made = Served(cache, server, tmp_path_factory.mktemp("ads"), stack)
        await server.serve(NODE, made.path)
        cache.publish(snapshot(NODE, [cluster()]))
        try:
            yield made
        finally:
            await server.close()


async def test_only_the_owner_can_open_the_socket(served: Served) -> None:
    mode = served.path.stat().st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o600


@pytest.mark.parametrize("form", METHODS)
@pytest.mark.parametrize("node", [OTHER, ""])
async def test_a_node_id_that_is_not_the_one_of_the_socket_is_refused(
    served: Served, form, node
) -> None:
    client = served.client(form)
    await client.ask(Kind.CLUSTER, node)
    code, details = await client.ended()
    assert code is grpc.StatusCode.PERMISSION_DENIED
    assert NODE in details
    assert served.cache.nodes() == [NODE]


@pytest.mark.parametrize("form", METHODS)
async def test_a_publication_reaches_an_open_stream(served: Served, form) -> None:
    client = served.client(form)
    await client.ask(Kind.CLUSTER, NODE)
    first = await client.read()
    await client.ask(Kind.CLUSTER, response_nonce=first.nonce)

    async def acked() -> bool:
        return served.cache.status(NODE).acked != ""

    await until(acked)
    served.cache.publish(snapshot(NODE, [cluster(2)]))
    second = await client.read()
    assert second.type_url == Kind.CLUSTER.value
    assert b"one 2" in second.SerializeToString()


async def test_a_proxy_that_reads_nothing_does_not_hold_back_large_responses(
    served: Served,
) -> None:
    """Its response fills the connection, and the one turn of large responses passes to the next."""
    settings = Settings(large_bytes=1, large_at_once=1, large_hold_s=0.05, grace_s=0.1)
    server, path = Server(served.cache, settings), served.folder / "large.sock"
    await server.serve(ANY_NODE, path)
    served.stack.push_async_callback(server.close)
    silent = served.client(path=path)
    await silent.ask(Kind.CLUSTER, NODE)
    await silent.ask(Kind.CLUSTER, response_nonce=(await silent.read()).nonce)
    await until(lambda: _has_state(served, State.SYNCED))
    served.cache.publish(snapshot(NODE, [pack(Kind.CLUSTER, "one", bytes(32 * 1024 * 1024))]))
    await until(lambda: _has_state(served, State.STALE))
    served.cache.publish(snapshot(OTHER, [cluster()]))
    reader = served.client(path=path)
    await reader.ask(Kind.CLUSTER, OTHER)
    assert b"one 1" in (await reader.read()).SerializeToString()


async def _has_state(served: Served, state: State) -> bool:
    return served.cache.status(NODE).kinds[Kind.CLUSTER].state is state


@pytest.mark.parametrize("form", METHODS)
@pytest.mark.parametrize("data", [b"\xff\xff\xff", b""])
async def test_bytes_that_are_no_request_end_the_stream(served: Served, form, data) -> None:
    client = served.client(form)
    await client.ask(Kind.CLUSTER, NODE)
    await client.read()
    await client.send(data)
    assert (await client.ended())[0] is grpc.StatusCode.INVALID_ARGUMENT
    await until(lambda: _streams(served, 0))


async def test_a_request_that_is_too_long_ends_the_stream(served: Served) -> None:
    client = served.client()
    await client.ask(Kind.CLUSTER, NODE, resource_names_subscribe=["x" * 5_000_000])
    assert (await client.ended())[0] is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_stream_without_a_request_ends(served: Served) -> None:
    assert (await served.client().ended())[0] is grpc.StatusCode.DEADLINE_EXCEEDED


async def _streams(served: Served, count: int) -> bool:
    return served.cache.status(NODE).streams == count


async def test_more_new_streams_than_the_limit_are_refused(served: Served) -> None:
    for _ in range(SETTINGS.burst):
        client = served.client()
        await client.ask(Kind.CLUSTER, NODE)
        assert await client.read() is not None
    refused = served.client()
    # The stream may end before it takes the request.
    with contextlib.suppress(grpc.aio.AioRpcError):
        await refused.ask(Kind.CLUSTER, NODE)
    assert (await refused.ended())[0] is grpc.StatusCode.RESOURCE_EXHAUSTED


async def _refused(client: Client, node: str) -> bool:
    """Ask for clusters; return whether the stream was refused. Otherwise it has its answer."""
    # The stream may end before it takes the request.
    with contextlib.suppress(grpc.aio.AioRpcError):
        await client.ask(Kind.CLUSTER, node)
        if await client.read() is not None:
            return False
    return (await client.ended())[0] is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_proxies_that_connect_in_a_loop_leave_streams_for_the_others(served: Served) -> None:
    """One uses up its own tokens, and several get little of what is kept for calm ones."""
    limits = replace(SETTINGS, burst=12, node_streams_per_s=0.0, node_burst=4)
    # On a busy host a request may come late, and its stream must not end for that.
    server = Server(served.cache, replace(limits, first_request_s=scaled_s(30)))
    served.stack.push_async_callback(server.close)
    looping, calm = ("loop-0", "loop-1", "loop-2"), ("calm-0", "calm-1", "calm-2", "calm-3")
    for node in (*looping, *calm):
        served.cache.publish(snapshot(node, [cluster()]))
        await server.serve(node, served.folder / node)

    async def refused(node: str) -> bool:
        return await _refused(served.client(path=served.folder / node), node)

    first = [await refused(looping[0]) for _ in range(8)]
    assert first == [False] * 4 + [True] * 4
    others = [await refused(node) for node in looping[1:] for _ in range(8)]
    assert others.count(False) == 3
    assert [await refused(node) for node in calm] == [False] * 4


async def test_the_newest_streams_of_a_node_win(served: Served) -> None:
    clients: list[Client] = []
    for _ in range(SETTINGS.streams_per_node_max + 1):
        clients.append(served.client())
        await clients[-1].ask(Kind.CLUSTER, NODE)
        assert await clients[-1].read() is not None
    code, details = await clients[0].ended()
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "newer" in details
    await until(lambda: _streams(served, SETTINGS.streams_per_node_max))


async def test_a_client_that_goes_away_is_forgotten_while_snapshots_are_published(
    served: Served,
) -> None:
    clients = [served.client() for _ in range(3)]
    for client in clients:
        await client.ask(Kind.CLUSTER, NODE)
        await client.read()
    for number in range(20):
        served.cache.publish(snapshot(NODE, [cluster(number)]))
        if number < len(clients):
            await clients[number].close()
    await until(lambda: _streams(served, 0))


async def test_a_socket_of_an_earlier_process_is_replaced(served: Served) -> None:
    stale = served.folder / "stale.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(stale))
    await served.server.serve(OTHER, stale)
    served.cache.publish(snapshot(OTHER, [cluster()]))
    client = served.client(path=stale)
    await client.ask(Kind.CLUSTER, OTHER)
    assert await client.read() is not None


async def test_closing_ends_the_streams_and_removes_the_sockets(served: Served) -> None:
    client = served.client()
    await client.ask(Kind.CLUSTER, NODE)
    await client.read()
    await served.server.close()
    assert (await client.ended())[0] is grpc.StatusCode.UNAVAILABLE
    assert not served.path.exists()
    assert served.cache.status(NODE).streams == 0


async def test_one_socket_can_serve_all_nodes_of_a_load_test(served: Served) -> None:
    shared = served.folder / "any.sock"
    await served.server.serve(ANY_NODE, shared)
    for node in (NODE, OTHER):
        served.cache.publish(snapshot(node, [cluster()]))
        client = served.client(path=shared)
        await client.ask(Kind.CLUSTER, node)
        response = await client.read()
        assert [each.name for each in response.resources] == ["one"]


async def test_a_stream_that_cannot_be_updated_ends(served: Served) -> None:
    """Otherwise its proxy would keep the old resources; a new stream gets the new ones.

    The snapshot has no kind of resources, which only a defect of the control plane can cause.
    """
    client = served.client()
    await client.ask(Kind.CLUSTER, NODE)
    response = await client.read()
    await client.ask(Kind.CLUSTER, response_nonce=response.nonce)
    await until(lambda: _acked(served), what="it is acknowledged")
    served.cache.publish(NodeSnapshot(NODE, "defective", {}))
    code, _ = await asyncio.wait_for(client.ended(), scaled_s(30))
    assert code is grpc.StatusCode.INTERNAL
    served.cache.publish(snapshot(NODE, [cluster(2)]))
    again = served.client()
    await again.ask(Kind.CLUSTER, NODE)
    assert (await again.read()).resources[0].version == cluster(2).version


async def _acked(served: Served) -> bool:
    return bool(served.cache.status(NODE).acked)
