"""A canary in the configuration: two subsets of a service, and the weights of its routes. Pure.

Istio has one VirtualService for a host, so the weights are written into the service's own object.
Only the value of each `route` and the marked entry `subsets` change.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ops.bpctl.mesh import yaml_text
from ops.bpctl.mesh.yaml_text import ROUTES, RULE, CannotEdit, Edit, Files

WHOLE = 100
MARK = "by bpctl mesh canary"
SERVICE_HOSTS = ".bp.svc.cluster.local"


@dataclass(frozen=True, slots=True)
class Canary:
    """The two versions of a service, and the canary's share of the calls in percent."""

    service: str
    stable: str
    version: str
    weight: int

    @property
    def host(self) -> str:
        """The service's host."""
        return f"{self.service}{SERVICE_HOSTS}"


def found(files: Files, service: str) -> Canary | None:
    """Return the canary of a service, or None. Raises CannotEdit for weights of another form."""
    host = f"{service}{SERVICE_HOSTS}"
    made: set[Canary] = set()
    plain = 0
    for each in yaml_text.of_host(files, ROUTES, host):
        for route in each.value["spec"]["http"]:
            shares = route["route"]
            if len(shares) == 1 and "subset" not in shares[0]["destination"]:
                plain += 1
            else:
                made.add(_canary(service, shares, each))
    if len(made) > 1 or (made and plain):
        raise CannotEdit(f"the routes of {service} have different weights; edit them by hand")
    return next(iter(made), None)


def _canary(service: str, shares: list[dict[str, Any]], each: yaml_text.Object) -> Canary:
    subsets = [str(share["destination"].get("subset", "")) for share in shares]
    weights = [int(share.get("weight", 0)) for share in shares]
    if len(shares) != 2 or "" in subsets or sum(weights) != WHOLE:
        raise CannotEdit(
            f"{each.file}: the routes of {service} are not those of a canary (two subsets, "
            "weights that add up to 100); edit them by hand"
        )
    return Canary(service, subsets[0], subsets[1], weights[1])


def started(files: Files, canary: Canary) -> Files:
    """Return the files with the subsets and weights of a canary. Raises CannotEdit."""
    if found(files, canary.service) is not None:
        raise CannotEdit(f"{canary.service} already has a canary")
    edits = [*_subsets_added(files, canary), *_routes(files, canary.host, _shares(canary))]
    return yaml_text.edited_files(files, edits)


def shifted(files: Files, canary: Canary) -> Files:
    """Return the files with other weights of a running canary."""
    return yaml_text.edited_files(files, _routes(files, canary.host, _shares(canary)))


def finished(files: Files, canary: Canary) -> Files:
    """Return the files without subsets and weights: calls go to every ready instance."""
    plain = f"[{{destination: {{host: {canary.host}}}}}]"
    edits = list(_routes(files, canary.host, plain))
    for each in yaml_text.of_host(files, RULE, canary.host):
        edit = yaml_text.removed_entry(each.spec, "subsets")
        if edit and MARK in each.text[edit.begin : edit.end]:
            edits.append((each.file, edit))
    return yaml_text.edited_files(files, edits)


def restored(files: Files, before: Files, canary: Canary) -> Files | None:
    """Return the files with the text from before the canary, or None if somebody has edited the
    objects since: then only the canary's own edits may be removed."""
    try:
        again = started(before, canary)
    except CannotEdit:
        return None
    touched = [file for file in before if again[file] != before[file]]
    if any(files.get(file) != again[file] for file in touched):
        return None
    return files | {file: before[file] for file in touched}


def _shares(canary: Canary) -> str:
    shares = ((canary.stable, WHOLE - canary.weight), (canary.version, canary.weight))
    return ", ".join(
        f"{{destination: {{host: {canary.host}, subset: {subset}}}, weight: {weight}}}"
        for subset, weight in shares
    ).join("[]")


def _routes(files: Files, host: str, text: str) -> Iterator[tuple[str, Edit]]:
    every = yaml_text.of_host(files, ROUTES, host)
    if not every:
        raise CannotEdit(f"there is no VirtualService for {host}; add one")
    for each in every:
        for route in yaml_text.items(each.spec, "http", each.file):
            yield each.file, yaml_text.replaced_value(route, "route", text, each.file)


def _subsets_added(files: Files, canary: Canary) -> Iterator[tuple[str, Edit]]:
    rules = yaml_text.of_host(files, RULE, canary.host)
    if not rules:
        raise CannotEdit(f"there is no DestinationRule for exactly {canary.host}; add one")
    names = {canary.stable, canary.version}
    for each in rules:
        given = each.value["spec"].get("subsets")
        if given is None:
            text = ", ".join(f"{{name: {v}, labels: {{version: {v}}}}}" for v in _order(canary))
            yield each.file, yaml_text.inserted_first(each.spec, f"subsets: [{text}]", MARK)
        elif not names <= {str(one["name"]) for one in given}:
            raise CannotEdit(
                f"{each.file}: the DestinationRule has subsets, but not {' and '.join(names)}; "
                "add them"
            )


def _order(canary: Canary) -> tuple[str, str]:
    return canary.stable, canary.version
