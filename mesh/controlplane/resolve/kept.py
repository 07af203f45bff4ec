"""Keeps the objects of the model that an edit does not change.

A value of the new model that is equal to one of the old model is replaced by that object, so the
translation finds by identity what it has already translated.
"""

from dataclasses import replace
from typing import TypeVar

from mesh.controlplane import model

_PartT = TypeVar("_PartT", model.ServiceTarget, model.Partner)


def kept(before: model.Mesh | None, after: model.Mesh) -> model.Mesh:
    """Return the new model with the equal objects of the old one."""
    if before is None:
        return after
    known = _Known(before)
    sidecars = tuple(known.sidecar(each) for each in after.sidecars)
    edge = replace(
        after.edge,
        services=tuple(known.service(each) for each in after.edge.services),
        partners=tuple(known.partner(each) for each in after.edge.partners),
    )
    made = replace(after, sidecars=sidecars, edge=before.edge if edge == before.edge else edge)
    return before if made == before else made


class _Known:
    """The objects of a model by their names."""

    def __init__(self, mesh: model.Mesh) -> None:
        proxies = (*mesh.sidecars, mesh.edge)
        self._sidecars = {each.workload.node: each for each in mesh.sidecars}
        self._services: dict[str, list[model.ServiceTarget]] = {}
        self._partners: dict[str, list[model.Partner]] = {}
        for proxy in proxies:
            for service in proxy.services:
                self._services.setdefault(service.name, []).append(service)
            for partner in proxy.partners:
                self._partners.setdefault(partner.host, []).append(partner)

    def service(self, found: model.ServiceTarget) -> model.ServiceTarget:
        """Return the known service that is equal; a new one becomes known."""
        return _equal(found, self._services.setdefault(found.name, []))

    def partner(self, found: model.Partner) -> model.Partner:
        """Return the known partner that is equal; a new one becomes known."""
        return _equal(found, self._partners.setdefault(found.host, []))

    def sidecar(self, found: model.Sidecar) -> model.Sidecar:
        """Return the known proxy if it is equal, or the new one with the known parts."""
        before = self._sidecars.get(found.workload.node)
        if before and before == found:
            return before
        return replace(
            found,
            workload=before.workload
            if before and before.workload == found.workload
            else found.workload,
            grants=before.grants if before and before.grants == found.grants else found.grants,
            services=tuple(self.service(each) for each in found.services),
            partners=tuple(self.partner(each) for each in found.partners),
        )


def _equal(found: _PartT, known: list[_PartT]) -> _PartT:
    for each in known:
        if each == found:
            return each
    known.append(found)
    return found
