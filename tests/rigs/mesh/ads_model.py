"""A model of Envoy's side of a delta stream, for property tests of the protocol's state machine.

It keeps Envoy's rules: a changed cluster warms until its endpoints are sent after it and its
secrets are there; a CDS response is acknowledged when no cluster warms; a listener is acknowledged
at once; a refused response is applied without its refused resources. It fails the test when a
resource that it serves names something that is absent or has never been warm.
"""

from collections import deque
from dataclasses import dataclass, field

from mesh.controlplane.deliver.envelopes import Request, Response
from mesh.controlplane.deliver.order import WILDCARD
from mesh.controlplane.deliver.packed import Kind, Packed

EMPTY = ""


@dataclass
class ModelEnvoy:
    """An Envoy that refuses the versions in `bad`. `sent` has its requests, oldest first."""

    bad: set[str] = field(default_factory=set[str])
    has: dict[Kind, dict[str, Packed]] = field(
        default_factory=lambda: {kind: dict[str, Packed]() for kind in Kind}
    )
    subscribed: dict[Kind, set[str]] = field(
        default_factory=lambda: {kind: set[str]() for kind in Kind}
    )
    warming: dict[str, bool] = field(default_factory=dict[str, bool])
    sent: deque[Request] = field(default_factory=deque[Request])
    held_ack: Request | None = None
    refusing: dict[str, str] = field(default_factory=dict[str, str])
    refused: list[str] = field(default_factory=list[str])
    opened: set[Kind] = field(default_factory=set[Kind])

    def connect(self) -> None:
        """Open a stream: say for each kind what is wanted and what is already here."""
        self.sent.clear()
        self.opened.clear()
        self.refusing.clear()
        self.held_ack = None
        for kind in (Kind.CLUSTER, Kind.ENDPOINTS, Kind.SECRET, Kind.LISTENER, Kind.ROUTES):
            if kind is Kind.CLUSTER or self.has[Kind.CLUSTER] or self.has[Kind.LISTENER]:
                self._open(kind)
        if self.has[Kind.LISTENER]:
            self._open(Kind.EXTENSION)

    def _open(self, kind: Kind) -> None:
        names = self.subscribed[kind]
        if kind not in WILDCARD and not names:
            return
        self.opened.add(kind)
        held = {name: each.version for name, each in self.has[kind].items()}
        self.sent.append(Request(kind, node="n", subscribe=tuple(sorted(names)), held=held))

    def receive(self, response: Response) -> None:
        """Apply a response, check what is served, and answer."""
        kind = response.kind
        errors = [each.name for each in response.resources if each.version in self.bad]
        for each in response.resources:
            assert each.body
            if each.version in self.bad:
                assert each.version not in self.refused or len(response.resources) > 1
                if len(response.resources) + len(response.removed) == 1:
                    self.refusing[response.nonce] = each.version
            else:
                self._apply(each)
        for name in self._removed(response):
            self._remove(kind, name)
        error = f"refused {errors[0]} and maybe more" if errors else None
        self._settle()
        answer = self._answer(response, error)
        if kind is Kind.CLUSTER and self.warming:
            self.held_ack = answer
        else:
            self.sent.append(answer)
        self._subscribe()
        self._release()

    def _removed(self, response: Response) -> tuple[str, ...]:
        return response.removed

    def _answer(self, response: Response, error: str | None) -> Request:
        return Request(response.kind, nonce=response.nonce, error=error)

    def _change(self, kind: Kind, added: set[str], dropped: set[str]) -> Request:
        return Request(kind, subscribe=tuple(added), unsubscribe=tuple(dropped))

    def _apply(self, each: Packed) -> None:
        if each.kind not in WILDCARD and each.name not in self.subscribed[each.kind]:
            return
        if each.kind is Kind.CLUSTER and self.has[Kind.CLUSTER].get(each.name) != each:
            self.warming[each.name] = False
        if each.kind in (Kind.LISTENER, Kind.ROUTES, Kind.EXTENSION):
            for used, name in each.uses:
                if used is Kind.CLUSTER:
                    # Routes may name a cluster that Envoy has refused: only its calls fail.
                    refused = each.kind is Kind.ROUTES and bool(self.bad)
                    assert refused or name in self.has[used], f"{each.name} names {name}"
                    assert name not in self.warming, f"{each.name} names {name}, which warms"
        if each.kind is Kind.ENDPOINTS:
            for name in self.warming:
                if (each.kind, each.name) in self.has[Kind.CLUSTER][name].uses:
                    self.warming[name] = True
        self.has[each.kind][each.name] = each

    def _remove(self, kind: Kind, name: str) -> None:
        for named in self.has.values():
            for each in named.values():
                served = (kind, name) in each.uses and name in self.has[kind]
                assert not served, f"{name} is removed, but {each.name} names it"
        self.has[kind].pop(name, None)
        if kind is Kind.CLUSTER:
            self.warming.pop(name, None)

    def _settle(self) -> None:
        for name, has_endpoints in list(self.warming.items()):
            uses = self.has[Kind.CLUSTER][name].uses
            needs = [each for kind, each in uses if kind is Kind.ENDPOINTS]
            secrets = [each for kind, each in uses if kind is Kind.SECRET]
            if (has_endpoints or not needs) and all(e in self.has[Kind.SECRET] for e in secrets):
                del self.warming[name]

    def next_request(self) -> Request:
        """Return the oldest request, which the control plane gets now."""
        request = self.sent.popleft()
        if request.nonce in self.refusing:
            self.refused.append(self.refusing.pop(request.nonce))
        return request

    def time_out(self) -> bool:
        """Envoy's initial_fetch_timeout: stop to wait; return whether something was waited for."""
        waited = bool(self.warming)
        self.warming.clear()
        self._release()
        return waited

    def _release(self) -> None:
        if self.held_ack is not None and not self.warming:
            self.sent.append(self.held_ack)
            self.held_ack = None
        if not self.warming and Kind.LISTENER not in self.opened and Kind.CLUSTER in self.opened:
            self._open(Kind.LISTENER)

    def _subscribe(self) -> None:
        users = [each for named in self.has.values() for each in named.values()]
        for kind in (Kind.ENDPOINTS, Kind.SECRET, Kind.ROUTES, Kind.EXTENSION):
            wanted = {name for each in users for used, name in each.uses if used is kind}
            added, dropped = wanted - self.subscribed[kind], self.subscribed[kind] - wanted
            if not added and not dropped:
                continue
            self.subscribed[kind] = wanted
            for name in dropped:
                self.has[kind].pop(name, None)
            if kind in self.opened:
                self.sent.append(self._change(kind, added, dropped))
            elif wanted:
                self._open(kind)


@dataclass
class ModelSotwEnvoy(ModelEnvoy):
    """The same for the state of the world: each request has all names, each response everything."""

    nonces: dict[Kind, str] = field(default_factory=dict[Kind, str])

    def _open(self, kind: Kind) -> None:
        before = len(self.sent)
        super()._open(kind)
        if len(self.sent) > before:
            last = self.sent.pop()
            self.sent.append(Request(last.kind, node=last.node, subscribe=last.subscribe))

    def _removed(self, response: Response) -> tuple[str, ...]:
        # In the other kinds an absent resource is not a removed one.
        named = {each.name for each in response.resources}
        gone = self.has[response.kind].keys() - named if response.kind in WILDCARD else set[str]()
        return tuple(sorted(gone))

    def _answer(self, response: Response, error: str | None) -> Request:
        self.nonces[response.kind] = response.nonce
        names = tuple(sorted(self.subscribed[response.kind]))
        return Request(response.kind, nonce=response.nonce, error=error, subscribe=names)

    def _change(self, kind: Kind, added: set[str], dropped: set[str]) -> Request:
        names = tuple(sorted(self.subscribed[kind]))
        return Request(kind, nonce=self.nonces.get(kind, EMPTY), subscribe=names)
