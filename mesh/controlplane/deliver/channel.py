"""One kind on one stream: what the client wants, what it has, and what is being sent. Pure.

A client wants named resources, everything (the wildcard `*`), or both. A name is answered each time
the client asks for it, also if it has the resource: a client that dropped and added a name in one
step has forgotten it. A refused response may be applied in part, so its resources are doubtful
until single responses have settled them.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import cast

from mesh.controlplane.deliver.order import WILDCARD, is_unknown
from mesh.controlplane.deliver.packed import Kind, Packed

STAR = "*"
Item = tuple[str, str]
"""A name with its version, or with an empty text for a removal."""
Changes = dict[str, Packed | None]
"""What a response changes; None stands for a removal."""


def items_of(changes: Changes) -> frozenset[Item]:
    """Return names and versions of changes."""
    return frozenset((name, each.version if each else "") for name, each in changes.items())


def split(items: frozenset[Item], error: str) -> list[frozenset[Item]]:
    """Divide the items of a refused response into two groups, to find the culprit.

    The first group has those that the error names, if it names some and not all; otherwise half.
    """
    ordered = sorted(items)
    named = [each for each in ordered if each[0] in error]
    first = named if 0 < len(named) < len(ordered) else ordered[: len(ordered) // 2]
    return [frozenset(first), items - frozenset(first)]


@dataclass(slots=True)
class Flight:
    """A response that the client has not answered yet.

    `single` is whether it has one change, `removes` whether one may be a removal. A name that the
    client drops meanwhile leaves `changes`, but a refusal may still mean that name.
    """

    nonce: str
    changes: Changes
    single: bool
    removes: bool


@dataclass(slots=True)
class Channel:
    """The state of one kind on one stream.

    `acked` has what the client has acknowledged, `doubtful` what it may have besides. `asked` has
    the names to answer even if nothing has changed. `groups` has the items that a search for a
    refused resource has still to send. `claimed` is the version that a reconnected
    state-of-the-world client has. `dirty` means that there may be something to send, `opaque` that
    `acked` may have resources with unknown bytes. `accepted` is whether the client has acknowledged
    a response, `error` the last text with which it refused one.
    """

    kind: Kind
    started: bool = False
    wildcard: bool = False
    named_before: bool = False
    greet: bool = False
    dirty: bool = False
    opaque: bool = False
    accepted: bool = False
    error: str = ""
    nonce: str = ""
    claimed: str = ""
    names: set[str] = field(default_factory=set[str])
    asked: set[str] = field(default_factory=set[str])
    acked: dict[str, Packed] = field(default_factory=dict[str, Packed])
    doubtful: dict[str, list[Packed | None]] = field(default_factory=dict[str, list[Packed | None]])
    flight: Flight | None = None
    groups: list[frozenset[Item]] = field(default_factory=list[frozenset[Item]])

    @property
    def quiet(self) -> bool:
        """Whether the client has acknowledged all that can be sent now."""
        return not self.started or not (self.flight or self.dirty or self.doubtful)

    def wants(self, name: str) -> bool:
        """Return whether the client is subscribed to a name."""
        return self.wildcard or name in self.names

    def open(self, names: Iterable[str], held: Iterable[Packed]) -> None:
        """Begin with the first request: its names, and what a reconnected client already has."""
        self.started = True
        self.acked = {each.name: each for each in held}
        self.opaque = any(map(is_unknown, self.acked.values()))
        wanted = set(names)
        self.wildcard = STAR in wanted or (self.kind in WILDCARD and not wanted)
        self.named_before = bool(wanted)
        self.names = wanted - {STAR}
        self.asked = self.names - (self.acked.keys() - self.asked)
        self.greet = self.wildcard and not self.acked
        self.dirty = True

    def subscribe(self, names: Iterable[str]) -> None:
        """Add names; each is answered, even if the client was subscribed to it."""
        for name in names:
            self.dirty = True
            if name == STAR:
                self.greet = not self.wildcard
                self.wildcard = True
            else:
                self.names.add(name)
                self.asked.add(name)

    def unsubscribe(self, names: Iterable[str]) -> None:
        """Remove names. With the wildcard, a removed name is answered with what the client has."""
        for name in names:
            if name == STAR:
                self.wildcard = False
                self._forget([each for each in self._known() if each not in self.names])
                continue
            self.names.discard(name)
            if self.wildcard:
                self.asked.add(name)
                self.dirty = True
            else:
                self._forget([name])

    def replace(self, names: Iterable[str]) -> None:
        """Take the whole list of names of a state-of-the-world client."""
        wanted = set(names)
        self.named_before = self.named_before or bool(wanted)
        wildcard = STAR in wanted or (self.kind in WILDCARD and not self.named_before)
        named = wanted - {STAR}
        added, dropped = named - self.names, self.names - named
        if wildcard != self.wildcard:
            (self.subscribe if wildcard else self.unsubscribe)([STAR])
        self.subscribe(added)
        self.unsubscribe(dropped)

    def _known(self) -> set[str]:
        sent = self.flight.changes if self.flight else {}
        return {*self.acked, *self.doubtful, *sent, *self.asked}

    def _forget(self, names: Iterable[str]) -> None:
        for name in names:
            self.acked.pop(name, None)
            self.doubtful.pop(name, None)
            self.asked.discard(name)
            if self.flight is not None:
                self.flight.changes.pop(name, None)

    def recognise(self, named: Mapping[str, Packed]) -> None:
        """Replace resources with unknown bytes by those of the same version."""
        for name, each in self.acked.items() if self.opaque else ():
            if is_unknown(each) and (same := named.get(name)) and same.version == each.version:
                self.acked[name] = same

    def lacking(self, named: Mapping[str, Packed]) -> dict[str, Packed]:
        """Return those of the resources that the client wants and does not have for sure.

        After an edit a client has most of them, as the same objects: these are left out first.
        """
        have, doubtful = self.acked.get, self.doubtful
        found = {n: e for n, e in named.items() if have(n) is not e or n in doubtful}
        return {
            name: each
            for name, each in found.items()
            if (self.wildcard or name in self.names)
            and ((held := have(name)) is None or held.version != each.version or name in doubtful)
        }

    def beyond(self, named: Mapping[str, Packed]) -> list[str]:
        """Return the names that the client has, or may have, and that are not among these."""
        if not self.doubtful and self.acked.keys() <= named.keys():
            return []
        return [each for each in {**self.acked, **self.doubtful} if each not in named]

    def held(self) -> Iterator[Packed]:
        """Yield every version of a resource that the client has, or may have."""
        yield from self.acked.values()
        yield from self.unanswered()

    def unanswered(self) -> Iterator[Packed]:
        """Yield the resources that the client may have besides those that it acknowledged."""
        sent = self.flight.changes.values() if self.flight else ()
        for some in (sent, *self.doubtful.values()):
            yield from (each for each in some if each is not None)

    def sent(self, nonce: str, changes: Changes, removes: bool) -> None:
        """Record that a response with these changes is on its way."""
        self.nonce, self.greet = nonce, False
        self.asked -= changes.keys()
        self.flight = Flight(nonce, changes, len(changes) == 1, removes)

    def accept(self) -> None:
        """The client has acknowledged the response."""
        flight, self.flight = self.flight, None
        self.accepted = True
        if flight is None:
            return
        if not self.doubtful and not flight.removes:
            self.acked.update(cast(dict[str, Packed], flight.changes))
            return
        for name, each in flight.changes.items():
            self.doubtful.pop(name, None)
            if each is None:
                self.acked.pop(name, None)
            else:
                self.acked[name] = each

    def refuse(self, error: str) -> Packed | None:
        """The client has refused the response; return the refused resource if it is known now.

        Several resources are doubtful and are sent again in smaller groups.
        """
        flight, self.flight = self.flight, None
        self.dirty, self.error = True, error
        if flight is None:
            return None
        if not flight.single:
            for name, each in flight.changes.items():
                self.doubtful.setdefault(name, []).append(each)
            self.groups[:0] = split(items_of(flight.changes), error)
            return None
        for name, each in flight.changes.items():
            held = self.acked.get(name)
            self._drop(name, each)
            if each is None:
                self.acked.pop(name, None)
            elif held is None or held.version != each.version:
                return each
        return None

    def _drop(self, name: str, refused: Packed | None) -> None:
        """A refused resource is not at the client; an earlier doubtful version may be."""
        left = [each for each in self.doubtful.pop(name, []) if each != refused]
        if left:
            self.doubtful[name] = left

    def in_turn(self, changes: Changes) -> Changes:
        """Return the changes to send now: while a culprit is searched, those of one group."""
        while self.groups:
            items = self.groups.pop(0)
            part = {
                name: each
                for name, each in changes.items()
                if (name, each.version if each else "") in items
            }
            if part:
                return part
        return changes
