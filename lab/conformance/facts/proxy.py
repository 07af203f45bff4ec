"""The configuration of one proxy as JSON: listeners, routes and clusters, and their parts."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]
_MANAGER = "envoy.filters.network.http_connection_manager"


@dataclass(frozen=True)
class Proxy:
    """What a control plane sends to one proxy."""

    workload: str
    listeners: tuple[Json, ...]
    routes: dict[str, Json]
    clusters: dict[str, Json]
    extensions: dict[str, Json]
    """Settings of filters that are resources of their own."""

    def inbound(self) -> tuple[Json, Json]:
        """Return the filter chain and connection manager of calls from the mesh, or outside."""
        return next(self._chains(pipe=False))

    def outbound(self) -> tuple[Json, Json]:
        """Return the filter chain and connection manager of the service's own calls."""
        return next(self._chains(pipe=True))

    def route_table(self, manager: Json) -> Json:
        """Return the routes of a connection manager, inline or by their name."""
        if "route_config" in manager:
            return manager["route_config"]
        return self.routes[manager["rds"]["route_config_name"]]

    def http_filters(self, manager: Json) -> list[tuple[str, Json]]:
        """Return the HTTP filters of a connection manager in their order, with their settings."""
        return [
            (each["name"], (each if "typed_config" in each else self.extensions[each["name"]]))
            for each in manager["http_filters"]
        ]

    def _chains(self, *, pipe: bool) -> Iterator[tuple[Json, Json]]:
        for listener in self.listeners:
            if ("pipe" in listener.get("address", {})) is not pipe:
                continue
            last = listener.get("default_filter_chain")
            for chain in (*listener.get("filter_chains", ()), *([last] if last else [])):
                for each in chain.get("filters", ()):
                    if each["name"] == _MANAGER:
                        yield chain, each["typed_config"]


def proxy(
    workload: str,
    listeners: Iterable[Json],
    routes: Iterable[Json],
    clusters: Iterable[Json],
    extensions: Iterable[Json] = (),
) -> Proxy:
    """Return a proxy's configuration."""
    named = ({each["name"]: each for each in every} for every in (routes, clusters, extensions))
    return Proxy(workload, tuple(listeners), *named)


def milliseconds(span: str | None, default: int | None) -> int | None:
    """Return a time such as "2.500s" in milliseconds; the default when it is absent."""
    return default if span is None else round(float(span.removesuffix("s")) * 1000)
