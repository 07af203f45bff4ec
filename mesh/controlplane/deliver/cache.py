"""What each proxy should have, and how far it is. No I/O: the caller gives the clock.

The pilot publishes snapshots here; each stream of a proxy is a session. A session is notified when
its snapshot changes and then asks for what to send, so snapshots that follow each other fast are
merged. Nothing is queued: a session has at most one outstanding response of each kind.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from mesh.controlplane.deliver.envelopes import Request, Response
from mesh.controlplane.deliver.order import INWARD
from mesh.controlplane.deliver.packed import Kind, NodeSnapshot
from mesh.controlplane.deliver.protocol import Form, Stream
from mesh.controlplane.deliver.refusals import NodeMemory
from mesh.controlplane.deliver.status import KindStatus, NodeStatus, State, kind_status

Acked = Callable[[str, NodeSnapshot], None]
"""Called when a node has acknowledged everything of a snapshot; must neither block nor raise."""
Clock = Callable[[], float]


@dataclass(slots=True)
class _Node:
    name: str
    snapshot: NodeSnapshot | None = None
    memory: NodeMemory = field(default_factory=NodeMemory)
    sessions: list["Session"] = field(default_factory=list["Session"])
    acked: str = ""
    settled: str = ""
    reported: str = ""


@dataclass(slots=True, eq=False)
class _Waiter:
    versions: dict[str, str]
    done: asyncio.Event = field(default_factory=asyncio.Event)

    def settle(self, node: str, version: str) -> None:
        if self.versions.get(node) == version:
            del self.versions[node]
            if not self.versions:
                self.done.set()

    def follow(self, node: str, old: str, new: str) -> None:
        """Wait for the version that has replaced the awaited one, which the node may never get."""
        if self.versions.get(node) == old:
            self.versions[node] = new


class Session:
    """One stream of a node.

    `notify` is called when `changed` becomes true: `update` may then have something to send.
    """

    def __init__(self, cache: "Cache", node: _Node, form: Form, notify: Callable[[], None]) -> None:
        self._cache, self.node = cache, node
        self.stream = Stream(node.memory, form)
        self.since_s: dict[Kind, float] = {}
        self.notify = notify
        self.changed = True

    def request(self, request: Request) -> list[Response]:
        """Take a request of the proxy; return what to send."""
        first, refusals = self.update(), self.node.memory.count
        answers = self.stream.request(request)
        if self.node.memory.count != refusals:
            for other in self.node.sessions:
                if other is not self:
                    other.change()
        return [*first, *self._noted(answers)]

    def update(self) -> list[Response]:
        """Take what has changed since the last call; return what to send."""
        if not self.changed:
            return []
        self.changed = False
        snapshot = self.node.snapshot
        if snapshot is None:
            return []
        if snapshot is self.stream.snapshot:
            return self._noted(self.stream.refresh())
        return self._noted(self.stream.publish(snapshot))

    def change(self) -> None:
        """The snapshot or the refusals have changed."""
        self.changed = True
        self.notify()

    def close(self) -> None:
        """The stream has ended."""
        if self in self.node.sessions:
            self.node.sessions.remove(self)
            self.stream.end()

    def _noted(self, responses: list[Response]) -> list[Response]:
        now_s = None
        for kind, channel in self.stream.channels.items():
            if channel.quiet:
                self.since_s.pop(kind, None)
            elif kind not in self.since_s:
                now_s = self._cache.clock() if now_s is None else now_s
                self.since_s[kind] = now_s
        if not self.since_s:
            self._cache.settled(self.node, self)
        return responses


class Cache:
    """The snapshots and sessions of all nodes.

    `acked` is called when a node has acknowledged everything of a snapshot. `clock` returns the
    time of status reports, in seconds.
    """

    def __init__(self, clock: Clock, acked: Acked | None = None) -> None:
        self.clock = clock
        self._acked = acked
        self._nodes: dict[str, _Node] = {}
        self._waiters: set[_Waiter] = set()

    def publish(self, snapshot: NodeSnapshot) -> None:
        """Publish the snapshot of a node; the same version again changes nothing."""
        node = self._nodes.setdefault(snapshot.node, _Node(snapshot.node))
        if node.snapshot is not None:
            if node.snapshot.version == snapshot.version:
                return
            for waiter in self._waiters:
                waiter.follow(node.name, node.snapshot.version, snapshot.version)
        node.snapshot = snapshot
        for each in node.sessions:
            each.change()

    def withdraw(self, name: str) -> None:
        """Publish nothing more for a node; a connected proxy keeps what it has."""
        if (node := self._nodes.get(name)) is not None:
            if node.snapshot is not None:
                for waiter in self._waiters:
                    waiter.settle(name, node.snapshot.version)
            node.snapshot = None
            self._forget(node)

    def retry(self, kind: Kind) -> None:
        """Send once more what proxies have refused of a kind.

        A secret names files, so the same bytes are right as soon as the files are.
        """
        for node in self._nodes.values():
            if node.memory.forgive(kind):
                for each in node.sessions:
                    each.change()

    def snapshot(self, name: str) -> NodeSnapshot | None:
        """Return the published snapshot of a node."""
        node = self._nodes.get(name)
        return node.snapshot if node is not None else None

    def connect(self, name: str, form: Form, notify: Callable[[], None]) -> Session:
        """Open a session of a node."""
        node = self._nodes.setdefault(name, _Node(name))
        session = Session(self, node, form, notify)
        node.sessions.append(session)
        # It may be a restarted proxy, which has nothing.
        node.acked = node.settled = ""
        return session

    def disconnect(self, session: Session) -> None:
        """Close a session; a node without sessions and snapshot is forgotten."""
        session.close()
        self._forget(session.node)

    def _forget(self, node: _Node) -> None:
        if not node.sessions and node.snapshot is None:
            self._nodes.pop(node.name, None)

    def settled(self, node: _Node, session: Session) -> None:
        """A session has nothing outstanding: its node has all that it accepts."""
        snapshot = session.stream.snapshot
        if snapshot is None or snapshot is not node.snapshot or node.sessions[-1:] != [session]:
            return
        if session.stream.complete():
            node.acked = snapshot.version
        elif session.stream.target is snapshot.resources:
            return
        node.settled = snapshot.version
        for waiter in self._waiters:
            waiter.settle(node.name, snapshot.version)
        if self._acked is not None and node.reported != node.acked == snapshot.version:
            node.reported = node.acked
            self._acked(node.name, snapshot)

    async def wait_synced(
        self, versions: Mapping[str, str], timeout_s: float
    ) -> dict[str, NodeStatus]:
        """Wait until each node has acknowledged its version, or refuses a part of it.

        A newer snapshot of a node takes the place of its version.

        Returns the status of all nodes, also after the timeout; a node has the version if it is
        in `acked`.
        """
        open_ones = {name: each for name, each in versions.items() if not self._settled(name, each)}
        waiter = _Waiter(open_ones)
        self._waiters.add(waiter)
        try:
            if open_ones:
                async with asyncio.timeout(timeout_s):
                    await waiter.done.wait()
        except TimeoutError:
            pass
        finally:
            self._waiters.discard(waiter)
        return {name: self.status(name) for name in versions}

    def _settled(self, name: str, version: str) -> bool:
        node = self._nodes.get(name)
        return node is not None and bool(node.sessions) and node.settled == version

    def is_connected(self, name: str) -> bool:
        """Return whether a node has a stream; cheaper than its status."""
        node = self._nodes.get(name)
        return node is not None and bool(node.sessions)

    def nodes(self) -> list[str]:
        """Return the names of all nodes that are published or connected."""
        return sorted(self._nodes)

    def status(self, name: str) -> NodeStatus:
        """Return the status of a node, from its newest stream."""
        node = self._nodes.get(name) or _Node(name)
        version = node.snapshot.version if node.snapshot else ""
        kinds: dict[Kind, KindStatus] = {kind: KindStatus(State.NOT_CONNECTED) for kind in INWARD}
        if node.sessions:
            session = node.sessions[-1]
            kinds = {
                kind: kind_status(
                    session.stream, node.memory, node.snapshot, channel, session.since_s.get(kind)
                )
                for kind, channel in session.stream.channels.items()
            }
        return NodeStatus(name, version, node.acked, len(node.sessions), kinds)
