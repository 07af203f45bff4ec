"""How far each proxy is, for each kind: what `proxy-status` shows. Pure."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum

from mesh.controlplane.deliver.channel import Channel
from mesh.controlplane.deliver.packed import Kind, NodeSnapshot, Packed
from mesh.controlplane.deliver.protocol import Stream
from mesh.controlplane.deliver.refusals import NodeMemory


class State(Enum):
    """The states of a kind at a proxy, best first. STALE is sent or waiting, and not acknowledged.

    NEVER_ACKED is connected without having acknowledged anything of this kind.
    """

    SYNCED = "SYNCED"
    STALE = "STALE"
    NEVER_ACKED = "NEVER ACKED"
    NACKED = "NACKED"
    NOT_CONNECTED = "NOT CONNECTED"


@dataclass(frozen=True, slots=True)
class KindStatus:
    """One kind at one proxy.

    `version` is that of the resources that the proxy should have, `acked` of those that it has
    acknowledged: digests, equal if the resources are. `since_s` is since when it is STALE. `error`
    is Envoy's text, and `refused` has the names of the resources that it refuses.
    """

    state: State
    version: str = ""
    acked: str = ""
    since_s: float | None = None
    error: str = ""
    refused: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """One proxy. `version` is that of the published snapshot.

    `acked` is that of the snapshot that the proxy has acknowledged as a whole.
    """

    node: str
    version: str
    acked: str
    streams: int
    kinds: Mapping[Kind, KindStatus]

    @property
    def state(self) -> State:
        """The worst state of its kinds."""
        order = list(State)
        return max((each.state for each in self.kinds.values()), key=order.index)


def digest(resources: Iterable[Packed]) -> str:
    """Return a digest of names and versions; empty for no resources."""
    text = "\0".join(sorted(f"{each.name}\0{each.version}" for each in resources))
    return hashlib.sha256(text.encode()).hexdigest()[:16] if text else ""


def kind_status(
    stream: Stream,
    memory: NodeMemory,
    published: NodeSnapshot | None,
    channel: Channel,
    since_s: float | None,
) -> KindStatus:
    """Return the status of one kind on a connected proxy."""
    # A stream that is still sending takes a new snapshot only afterwards.
    behind = published is not None and published is not stream.snapshot
    target = published.resources if published is not None and behind else stream.target
    refused = memory.refusals(published, channel.kind) if published is not None else {}
    named = target[channel.kind].items() if target else ()
    wanted = [each for name, each in named if not channel.started or channel.wants(name)]
    version, acked = digest(wanted), digest(channel.acked.values())
    state = _state(channel, bool(wanted), bool(refused))
    if behind and state is State.SYNCED and version != acked:
        state = State.STALE
    error = channel.error if channel.groups else next(iter(refused.values()), "")
    since_s = since_s if state is State.STALE else None
    return KindStatus(state, version, acked, since_s, error, tuple(sorted(refused)))


def _state(channel: Channel, wanted: bool, refused: bool) -> State:
    if refused or channel.groups:
        return State.NACKED
    if wanted and not channel.acked and not channel.accepted:
        return State.NEVER_ACKED
    return State.SYNCED if channel.quiet else State.STALE
