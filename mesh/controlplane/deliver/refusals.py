"""What one node has refused, and what it gets instead. Pure: no clock, no I/O.

Refused bytes are never sent again to this node, on no stream. The last version that the node has
acknowledged takes their place. A new resource without such a version is left out, together with
what names it. The result is consistent: every resource that one of them names is among them.
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from mesh.controlplane.deliver.order import Resources, is_unknown
from mesh.controlplane.deliver.packed import Kind, NodeSnapshot, Packed, Reference
from mesh.controlplane.deliver.rewording import reworded

REFUSED_MAX = 1_000
"""Refusals that are kept for one node; the oldest leaves."""
TARGETS_MAX = 8
RETAINED_MAX = 1_000
"""What is kept of ended streams for one node. Beyond it Envoy's own timeout ends a wait."""
_SPARABLE = frozenset({Kind.SECRET, Kind.ENDPOINTS})
"""Kinds without which Envoy keeps what names them; only calls that need them fail."""
Good = Callable[[Kind, str], Packed | None]
"""Returns the version of a resource that the node acknowledged last."""


@dataclass(frozen=True, slots=True)
class Ended:
    """What an ended stream knew. `acked` has the kinds that the client had asked for.

    `unanswered` has what was sent without an answer, and `retained` what had left the target while
    the client named it.
    """

    acked: dict[Kind, dict[str, Packed]]
    unanswered: list[Packed]
    retained: dict[Reference, Packed]
    target: Resources


class NodeMemory:
    """The refusals of one node, and the resources that its ended streams had acknowledged."""

    def __init__(self, refused_max: int = REFUSED_MAX) -> None:
        self.count = 0
        self._refused_max = refused_max
        self._refused: OrderedDict[tuple[Kind, str, str], str] = OrderedDict()
        self._forgiven: dict[tuple[Kind, str, str], int] = {}
        self._good: dict[Kind, dict[str, Packed]] = {}
        self._unanswered: dict[tuple[Kind, str, str], Packed] = {}
        self._retained: dict[Reference, Packed] = {}
        self._targets: deque[Resources] = deque(maxlen=TARGETS_MAX)

    def refuse(self, kind: Kind, name: str, version: str, error: str) -> None:
        """Remember that the node refuses this version, with Envoy's text."""
        self.count += 1
        self._refused[kind, name, version] = error
        if len(self._refused) > self._refused_max:
            self._refused.popitem(last=False)

    def keep(self, ended: Ended) -> None:
        """Remember an ended stream, in place of an earlier one that had the same kinds."""
        for kind, acked in ended.acked.items():
            # A node that has restarted may not have acknowledged everything again.
            for name, each in self._good.get(kind, {}).items():
                if ended.target and name in ended.target[kind]:
                    acked.setdefault(name, each)
            self._good[kind] = acked
        others = [each for each in self._unanswered.values() if each.kind not in ended.acked]
        self._unanswered = {
            (each.kind, each.name, each.version): each
            for each in [*others, *ended.unanswered]
            if not is_unknown(each)
        }
        self._retained = (self._retained | ended.retained) if ended.retained else self._retained
        while len(self._retained) > RETAINED_MAX:
            del self._retained[next(iter(self._retained))]
        if ended.target and (not self._targets or self._targets[-1] is not ended.target):
            self._targets.append(ended.target)

    def forgive(self, kind: Kind) -> bool:
        """Forget what the node refuses of a kind, so that it is sent once more; return whether
        there was anything."""
        found = [key for key in self._refused if key[0] is kind]
        for key in found:
            del self._refused[key]
        # Only what is still refused is counted, so this stays small.
        self._forgiven = {key: self._forgiven.get(key, 0) + 1 for key in found}
        return bool(found)

    def worded(self, packed: Packed) -> Packed:
        """Return what to send: every second try of a refused secret has other bytes."""
        tries = self._forgiven.get((packed.kind, packed.name, packed.version), 0)
        return reworded(packed) if tries % 2 and packed.kind is Kind.SECRET else packed

    def recall(self, kind: Kind, name: str, version: str) -> Packed | None:
        """Return a resource with these bytes, if an ended stream had it."""
        found = self._good.get(kind, {}).get(name)
        if found is not None and found.version == version and not is_unknown(found):
            return found
        return self._unanswered.get((kind, name, version))

    def in_doubt(self, packed: Packed) -> bool:
        """Return whether an ended stream may have sent this resource without an answer."""
        known = self._good.get(packed.kind, {}).get(packed.name)
        return bool(self._targets) and (known is None or known.version != packed.version)

    def spare(self, kind: Kind, name: str) -> Packed | None:
        """Return a resource that has left the snapshot, for a client that still names it."""
        if (kind, name) in self._retained:
            return self._retained[kind, name]
        found = (each[kind].get(name) for each in reversed(self._targets))
        return next((each for each in found if each is not None and not is_unknown(each)), None)

    def refusals(self, snapshot: NodeSnapshot, kind: Kind) -> dict[str, str]:
        """Return the names of the snapshot's resources that the node refuses, with its texts."""
        named = snapshot.resources[kind]
        return {
            name: error
            for (of, name, version), error in self._refused.items()
            if of is kind and name in named and named[name].version == version
        }

    def effective(self, snapshot: NodeSnapshot, acked: Good) -> Resources:
        """Return the resources for the node: the snapshot without what the node refuses."""
        bad = [(kind, name) for kind in Kind for name in self.refusals(snapshot, kind)]
        if not bad:
            return snapshot.resources
        return _Substitution(snapshot, lambda kind, name: self._last(kind, name, acked)).without(
            bad
        )

    def _last(self, kind: Kind, name: str, acked: Good) -> Packed | None:
        for found in (acked(kind, name), self._good.get(kind, {}).get(name)):
            if found is not None and (kind, name, found.version) not in self._refused:
                return found
        return None


class _Substitution:
    """Each resource goes from the snapshot's version to the last good one, and then is left out.

    What names a resource that is left out follows it, unless Envoy works without it. A secret or
    endpoints concern only the calls of their cluster. Routes without a good version stay, and only
    the calls to the absent cluster fail: without the routes all calls would.
    """

    def __init__(self, snapshot: NodeSnapshot, last_good: Good) -> None:
        self._last_good = last_good
        self._chosen = {kind: dict(named) for kind, named in snapshot.resources.items()}
        self._replaced: set[Reference] = set()
        self._left_out: set[Reference] = set()
        self._incomplete: set[Reference] = set()
        self._spared: set[Reference] = set()

    def without(self, bad: Iterable[Reference]) -> Resources:
        for reference in bad:
            self._demote(reference)
        while found := self._dangling():
            user, missing = found
            if self._restore(missing):
                continue
            if missing[0] in _SPARABLE:
                self._spared.add(missing)
            elif user[0] is Kind.ROUTES and not self._has_other(user):
                self._incomplete.add(user)
            else:
                self._demote(user)
        return self._chosen

    def _has_other(self, reference: Reference) -> bool:
        """Return whether the last good version is another one, which was not tried yet."""
        kind, name = reference
        good = None if reference in self._replaced else self._last_good(kind, name)
        return good is not None and good.version != self._chosen[kind][name].version

    def _demote(self, reference: Reference) -> None:
        kind, name = reference
        del self._chosen[kind][name]
        if reference in self._replaced or not self._restore(reference):
            self._left_out.add(reference)

    def _restore(self, reference: Reference) -> bool:
        kind, name = reference
        if reference in self._left_out or reference in self._replaced:
            return False
        if (good := self._last_good(kind, name)) is None:
            return False
        self._chosen[kind][name] = good
        self._replaced.add(reference)
        return True

    def _dangling(self) -> tuple[Reference, Reference] | None:
        for kind, named in self._chosen.items():
            for name, each in named.items():
                if (kind, name) in self._incomplete:
                    continue
                for missing in each.uses:
                    if missing in self._spared or missing[1] in self._chosen[missing[0]]:
                        continue
                    if missing in self._left_out or (kind, name) in self._replaced:
                        return (kind, name), missing
        return None
