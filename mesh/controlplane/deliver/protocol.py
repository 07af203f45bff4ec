"""The state of one xDS stream as a machine: requests and snapshots in, responses out.

No I/O and no clock. The table says what each event does in each phase of a kind. One response of a
kind is outstanding at a time; later changes are merged until the client answers it. A change that
names a new or changed cluster waits until the client has acknowledged the cluster. A removal waits
until nothing that the client has, or is being sent, names the resource.
"""

import hashlib
from collections.abc import Callable, Mapping
from enum import Enum, auto

from mesh.controlplane.deliver.channel import Changes, Channel
from mesh.controlplane.deliver.envelopes import Request, Response
from mesh.controlplane.deliver.order import (
    INWARD,
    USERS,
    WAITS,
    WILDCARD,
    Resources,
    clusters_of,
    is_unknown,
    required,
    unknown,
    uses_of,
)
from mesh.controlplane.deliver.packed import Kind, NodeSnapshot, Packed, Reference
from mesh.controlplane.deliver.refusals import Ended, NodeMemory


class Form(Enum):
    """The two forms of the protocol."""

    DELTA = auto()
    SOTW = auto()


class Phase(Enum):
    """A kind before its first request, with nothing outstanding, or with a response outstanding."""

    NEW = auto()
    IDLE = auto()
    WAITING = auto()


class Event(Enum):
    """What a request means. STALE answers a response that is not the outstanding one."""

    FIRST = auto()
    CHANGE = auto()
    ACK = auto()
    NACK = auto()
    STALE = auto()


class Stream:
    """One stream of one node.

    `memory` has what the node has refused; all streams of the node share it. `target` has what the
    node should have: the snapshot, without what the node refuses.
    """

    def __init__(self, memory: NodeMemory, form: Form) -> None:
        self.form = form
        self.snapshot: NodeSnapshot | None = None
        self.target: Resources = {}
        self.channels = {kind: Channel(kind) for kind in INWARD}
        # Resources that have left the target while the client still needs them, such as the
        # endpoints of a cluster that is being sent: without them it would never be warm.
        self._retained: dict[Reference, Packed] = {}
        self._memory = memory
        self._count = 0
        self._reconnected = False

    def publish(self, snapshot: NodeSnapshot) -> list[Response]:
        """Take a new snapshot; return what can be sent now."""
        self.snapshot = snapshot
        self._retarget()
        return self._advance()

    def refresh(self) -> list[Response]:
        """Take what another stream of the node has found refused; return what can be sent now."""
        self._retarget()
        return self._advance()

    def request(self, request: Request) -> list[Response]:
        """Take a request; return what can be sent now."""
        channel = self.channels[request.kind]
        event = self._event(channel, request)
        if (step := _TABLE.get((_phase(channel), event))) is not None:
            step(self, channel, request)
        return self._advance()

    def complete(self) -> bool:
        """Return whether the client has acknowledged the whole snapshot, with nothing refused."""
        if self.snapshot is None or self.target is not self.snapshot.resources:
            return False
        if not all(each.quiet for each in self.channels.values()):
            return False
        return all(
            self.channels[kind].acked.keys() >= names
            for kind, names in required(self.snapshot).items()
        )

    def end(self) -> None:
        """The stream has ended: leave what it knows to the node's next stream."""
        started = [each for each in self.channels.values() if each.started]
        acked = {each.kind: each.acked for each in started}
        unanswered = [each for channel in started for each in channel.unanswered()]
        self._memory.keep(Ended(acked, unanswered, self._retained, self.target))

    def _event(self, channel: Channel, request: Request) -> Event:
        if not channel.started:
            return Event.FIRST
        if channel.flight is not None and request.nonce == channel.flight.nonce:
            return Event.ACK if request.error is None else Event.NACK
        idle = "" if self.form is Form.DELTA else channel.nonce
        return Event.CHANGE if request.nonce == idle else Event.STALE

    def open(self, channel: Channel, request: Request) -> None:
        """Begin a kind."""
        held = (self._recalled(channel.kind, *each) for each in request.held.items())
        channel.open(request.subscribe, held)
        self._reconnected = self._reconnected or bool(channel.acked or request.version)
        if channel.kind is Kind.CLUSTER:
            # They may be waiting for endpoints that the ended stream has lost.
            doubtful = filter(self._memory.in_doubt, channel.acked.values())
            self._repeat_endpoints({each.name: each for each in doubtful})
        if self.form is Form.SOTW:
            channel.claimed = request.version

    def _recalled(self, kind: Kind, name: str, version: str) -> Packed:
        same = self.target[kind].get(name) if self.target else None
        if same is not None and same.version == version:
            return same
        return self._memory.recall(kind, name, version) or unknown(kind, name, version)

    def subscribe(self, channel: Channel, request: Request) -> None:
        """Change what the client wants."""
        if self.form is Form.SOTW:
            channel.replace(request.subscribe)
        else:
            channel.unsubscribe(request.unsubscribe)
            channel.subscribe(request.subscribe)

    def accept(self, channel: Channel, request: Request) -> None:
        """The client has acknowledged the outstanding response."""
        channel.accept()
        self.subscribe(channel, request)

    def refuse(self, channel: Channel, request: Request) -> None:
        """The client has refused the outstanding response."""
        error = request.error or ""
        if (culprit := channel.refuse(error)) is not None:
            self._memory.refuse(channel.kind, culprit.name, culprit.version, error)
            self._retarget()
        self.subscribe(channel, request)

    def ignore(self, channel: Channel, request: Request) -> None:
        """Ignore an old answer. A delta request still changes what the client wants."""
        if self.form is Form.DELTA:
            self.subscribe(channel, request)

    def _retarget(self) -> None:
        if self.snapshot is None:
            return
        before = self.target
        self.target = self._memory.effective(
            self.snapshot, lambda kind, name: self.channels[kind].acked.get(name)
        )
        self._retain(before)
        for kind, channel in self.channels.items():
            channel.recognise(self.target[kind])
            if not before or before[kind] != self.target[kind]:
                channel.dirty = True

    def _retain(self, before: Resources) -> None:
        for kind, named in before.items():
            if not named.keys() <= (now := self.target[kind]).keys():
                for name in named.keys() - now.keys():
                    self._retained[kind, name] = named[name]
        for kind, name in list(self._retained):
            if name in self.target[kind]:
                del self._retained[kind, name]
        self._release()

    def _release(self) -> None:
        """Keep only what the client's resources name, and what that names."""
        if not self._retained:
            return
        held = (each for channel in self.channels.values() for each in channel.held())
        named = {reference for each in held for reference in each.uses}
        kept: dict[Reference, Packed] = {}
        while found := named & self._retained.keys() - kept.keys():
            kept |= {reference: self._retained[reference] for reference in found}
            named = {reference for each in found for reference in self._retained[each].uses}
        self._retained = kept

    def _advance(self) -> list[Response]:
        if not self.target:
            return []
        responses: list[Response] = []
        for channel in self.channels.values():
            if channel.started and channel.dirty and channel.flight is None:
                self._send(channel, responses)
        return responses

    def _send(self, channel: Channel, responses: list[Response]) -> None:
        changes, waiting = self._changes(channel)
        now = channel.in_turn(changes)
        channel.dirty = waiting or len(now) < len(changes) or bool(channel.groups)
        if not now and (waiting or not channel.greet):
            return
        response = self._response(channel, now)
        if channel.claimed and channel.claimed == response.version:
            channel.sent(channel.nonce, now, removes=True)
            channel.accept()
        else:
            channel.sent(response.nonce, now, self.form is Form.SOTW or bool(response.removed))
            responses.append(response)
        channel.claimed = ""
        if channel.kind is Kind.CLUSTER:
            self._repeat_endpoints(now)

    def _repeat_endpoints(self, clusters: Changes) -> None:
        """Ask for the endpoints of changed clusters: Envoy does not ask again for known names.

        A reconnected Envoy says that it has them, perhaps after its clusters were sent.
        """
        endpoints = self.channels[Kind.ENDPOINTS]
        used = uses_of((each for each in clusters.values() if each), Kind.ENDPOINTS)
        if again := used & endpoints.names if endpoints.started else used:
            endpoints.asked |= again
            endpoints.dirty = True

    def _response(self, channel: Channel, changes: Changes) -> Response:
        self._count += 1
        nonce = str(self._count)
        if self.form is Form.DELTA:
            sent = tuple(self._memory.worded(each) for each in changes.values() if each)
            removed = tuple(sorted(name for name, each in changes.items() if each is None))
            return Response(channel.kind, nonce, sent, removed)
        view: Changes = {**channel.acked, **changes}
        whole = tuple(each for _, each in sorted(view.items()) if each and not is_unknown(each))
        digest = hashlib.sha256("\0".join(f"{e.name}\0{e.version}" for e in whole).encode())
        worded = tuple(self._memory.worded(each) for each in whole)
        return Response(channel.kind, nonce, worded, version=digest.hexdigest()[:16])

    def _changes(self, channel: Channel) -> tuple[Changes, bool]:
        """Return what may change now at the client, and whether more has to wait."""
        new = self._new(channel)
        allowed = self._allowed(channel, new)
        waiting = len(allowed) < len(new)
        changes: Changes = {**allowed}
        if gone := channel.beyond(self.target[channel.kind]):
            in_use = self._in_use(channel.kind)
            # A listener that replaces a removed one may need its address: both change together.
            keep = in_use is None or (waiting and channel.kind is Kind.LISTENER)
            kept = {name for name in gone if keep or name in (in_use or ())}
            changes |= {name: None for name in gone if name not in kept}
            waiting = waiting or bool(kept)
        return changes, self._answer(channel, changes) or waiting

    def _answer(self, channel: Channel, changes: Changes) -> bool:
        """Add the names that the client has asked for; return whether one of them has to wait."""
        waiting = False
        for name in channel.asked - changes.keys():
            if (held := channel.acked.get(name)) is not None:
                if not is_unknown(held):
                    changes[name] = held
            elif name not in self.target[channel.kind]:
                spare = self._spare(channel.kind, name)
                if spare is not None and self._arriving(spare):
                    waiting = True
                else:
                    changes[name] = spare
        return waiting

    def _arriving(self, spare: Packed) -> bool:
        clusters, flight = clusters_of(spare, self.target), self.channels[Kind.CLUSTER].flight
        return flight is not None and not clusters.isdisjoint(flight.changes)

    def _spare(self, kind: Kind, name: str) -> Packed | None:
        """Return a resource that has left the target, for a client that still names it."""
        found = self._retained.get((kind, name))
        if found is None and self._reconnected:
            found = self._memory.spare(kind, name)
        if found is None or not (clusters := self.channels[Kind.CLUSTER]).started:
            return found
        there = clusters.acked.keys() | (clusters.flight.changes if clusters.flight else {}).keys()
        return found if clusters_of(found, self.target) <= there else None

    def _new(self, channel: Channel) -> dict[str, Packed]:
        """Return the resources that the client wants and does not have for sure."""
        found = channel.lacking(self.target[channel.kind])
        if self.snapshot is not None and self.target is self.snapshot.resources:
            return found
        # The last good version of a refused resource may have unknown bytes.
        return {name: each for name, each in found.items() if not is_unknown(each)}

    def _allowed(self, channel: Channel, new: dict[str, Packed]) -> dict[str, Packed]:
        """Return those of the changes that wait for no change of another kind."""
        if channel.kind not in WAITS or not new:
            return new
        clusters = self._unsettled(Kind.CLUSTER)
        listeners: set[str] = set()
        if channel.kind is not Kind.LISTENER and (names := self._unsettled(Kind.LISTENER)):
            users = (self.target[Kind.LISTENER][each] for each in names)
            # Those that the client has not got yet never wait: a warming listener needs them.
            listeners = uses_of(users, channel.kind) & channel.acked.keys()
        if not clusters and not listeners:
            return new
        return {
            name: each
            for name, each in new.items()
            if name not in listeners and clusters.isdisjoint(clusters_of(each, self.target))
        }

    def _unsettled(self, kind: Kind) -> set[str]:
        """Return the resources of a kind that the client wants and has not acknowledged yet."""
        channel = self.channels[kind]
        if not channel.started or channel.quiet:
            return set()
        sent = channel.flight.changes.keys() if channel.flight else set[str]()
        return self._new(channel).keys() | (sent & self.target[kind].keys())

    def _in_use(self, kind: Kind) -> set[str] | None:
        """Return the names of a kind that the client uses, or None if that is not certain."""
        self._release()
        used = uses_of(self._retained.values(), kind)
        for user in USERS[kind]:
            channel = self.channels[user]
            if self._undeclared(channel) or (user is not kind and self._unsettled(user)):
                return None
            for each in channel.held():
                if is_unknown(each) and user is not kind:
                    return None
                used.update(name for of, name in each.uses if of is kind)
        return used

    def _undeclared(self, channel: Channel) -> bool:
        """Return whether a reconnected client may have resources that it has not declared yet."""
        if channel.started or not self._reconnected:
            return False
        listeners = self.channels[Kind.LISTENER].held()
        return channel.kind in WILDCARD or bool(uses_of(listeners, channel.kind))


def _phase(channel: Channel) -> Phase:
    if not channel.started:
        return Phase.NEW
    return Phase.IDLE if channel.flight is None else Phase.WAITING


_Step = Callable[[Stream, Channel, Request], None]
_TABLE: Mapping[tuple[Phase, Event], _Step] = {
    (Phase.NEW, Event.FIRST): Stream.open,
    (Phase.IDLE, Event.CHANGE): Stream.subscribe,
    (Phase.IDLE, Event.STALE): Stream.ignore,
    (Phase.WAITING, Event.CHANGE): Stream.subscribe,
    (Phase.WAITING, Event.ACK): Stream.accept,
    (Phase.WAITING, Event.NACK): Stream.refuse,
    (Phase.WAITING, Event.STALE): Stream.ignore,
}
