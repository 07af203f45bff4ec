"""The generator: the repository's configuration with random changes.

Most changes are good ones, because only an accepted configuration reaches Envoy.
"""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from lab.fuzz.configs import fields, objects, repository, structure, values
from lab.fuzz.configs.fields import Field, Place
from lab.fuzz.configs.repository import Changed, Files, Resource

Draw = Any
_CHANGES_MAX = 3
_GOOD, _HOSTILE = 4, 1
"""How often all changes are good, and how often one of them is hostile."""
_OFTEN = {"VirtualService", "DestinationRule", "EdgePolicy"}
"""The kinds with most fields."""
_ATTEMPTS = ("VirtualService", "http.retries.attempts")
_Found = dict[Field, list[tuple[Resource, Place, Any]]]


@dataclass(frozen=True)
class Left:
    """Fields that a run has not changed yet; half of the edits choose among them."""

    changed: frozenset[Field] = frozenset()
    accepted: frozenset[Field] = frozenset()
    """Fields that no accepted configuration had changed."""


@st.composite
def configurations(draw: Draw, left: Left = Left()) -> Changed:
    """Draw one configuration."""
    made = repository.files()
    host = draw(st.sampled_from([None, *_HOSTS]))
    if host is not None:
        _object(draw, made, host)
    for _ in range(draw(st.integers(0 if host else 1, _CHANGES_MAX))):
        if draw(st.integers(0, 3)):
            _good_edit(draw, made, left)
        else:
            structure.added(draw, made)
    if draw(st.sampled_from([False] * _GOOD + [True] * _HOSTILE)):
        return _hostile(draw, made, left)
    return repository.changed(made)


_HOSTS = (
    objects.SERVICE,
    *(f"{each}.bp.svc.cluster.local" for each in objects.SERVICES),
    *objects.PARTNERS,
)


def _object(draw: Draw, made: Files, host: str) -> None:
    """Replace the routes and the traffic policy of a host."""
    routes = structure.rule_of(made, host, "VirtualService")["spec"]
    rule = structure.rule_of(made, host, "DestinationRule")["spec"]
    routes["http"] = draw(objects.routes(host))
    retried = any(each["retries"]["attempts"] for each in routes["http"])
    service = host.endswith(".bp.svc.cluster.local")
    rule["trafficPolicy"] = {
        "tls": rule["trafficPolicy"]["tls"],
        **draw(objects.overrides(partner=not service, retried=retried)),
    }
    if service:
        rule["subsets"] = draw(objects.subsets(retried=retried))


def _leaves(made: Files) -> _Found:
    found: _Found = defaultdict(list)
    for group in made.values():
        for one in group:
            for field, place, value in fields.leaves(one):
                found[field].append((one, place, value))
    return found


def _pick(
    draw: Draw, found: _Found, among: list[Field], left: frozenset[Field]
) -> tuple[Field, Resource, Place, Any]:
    """Draw a field, and a resource that has it."""
    new = sorted(left & set(among))
    if new and draw(st.booleans()):
        field = draw(st.sampled_from(new))
    else:
        kinds = sorted({each[0] for each in among})
        often = [each for each in kinds if each in _OFTEN]
        kind = draw(st.sampled_from([*kinds, *often * 3]))
        field = draw(st.sampled_from(sorted(each for each in among if each[0] == kind)))
    return field, *draw(st.sampled_from(found[field]))


def _good_edit(draw: Draw, made: Files, left: Left) -> None:
    found = _leaves(made)
    among = [each for each in found if values.has_good(each)]
    field, one, place, _ = _pick(draw, found, among, left.accepted)
    if field == _ATTEMPTS:
        # The other fields of `retries` depend on the number of attempts.
        structure.put(one, place[:-1], draw(objects.retries()))
    else:
        structure.put(one, place, draw(values.good(field)))


@st.composite
def hostile_in(draw: Draw, field: Field) -> Changed:
    """Draw the repository's configuration with one hostile value, in a given field."""
    made = repository.files()
    found = _leaves(made)
    kind, path = field
    if field in found:
        one, place, current = draw(st.sampled_from(found[field]))
    else:
        of_metadata = kind == "Metadata"
        owners = list(repository.of_kind(made, "Gateway" if of_metadata else kind))
        one, current = draw(st.sampled_from(owners)), None
        place = ("metadata" if of_metadata else "spec", path)
    structure.put(one, place, draw(values.hostile(field, current)))
    return repository.changed(made)


def _hostile(draw: Draw, made: Files, left: Left) -> Changed:
    """Draw one hostile change: of a value, of a whole resource, or of the text."""
    sort = draw(st.sampled_from(["value", "value", "value", "structure", "text"]))
    if sort == "structure":
        structure.broken(draw, made)
    elif sort == "value":
        found = _leaves(made)
        field, one, place, current = _pick(draw, found, list(found), left.changed)
        structure.put(one, place, draw(values.hostile(field, current)))
    whole = repository.changed(made)
    if sort != "text":
        return whole
    name = draw(st.sampled_from(sorted(whole.content)))
    content = {**whole.content, name: structure.damaged(draw, whole.content[name])}
    return Changed(content, whole.files, damaged=name)
