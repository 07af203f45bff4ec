"""AuthorizationPolicies of SREs. They can narrow what the contracts grant, and never widen it.

As in Istio, a call is refused if a DENY matches it, whatever an ALLOW says. An ALLOW adds to the
grants of the contracts, so one that goes beyond them is an error. A dry run changes nothing, so it
may go beyond them.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from mesh.controlplane import model
from mesh.controlplane.ingest import shapes
from mesh.controlplane.ingest.documents import Place
from mesh.controlplane.ingest.faults import Absent, ConfigFault, Findings
from mesh.controlplane.ingest.fields import suggestion
from mesh.controlplane.ingest.resources import Resource, of_kind
from mesh.controlplane.ingest.shapes.metadata import is_dry_run

_KIND = "AuthorizationPolicy"
_SPIFFE = "spiffe://"
_Call = tuple[str, str]
"""An identity, and the path of the method that it calls."""


@dataclass(frozen=True)
class Known:
    """What exists: the grants of each service, and all identities."""

    grants: Mapping[str, tuple[model.Grant, ...]]
    identities: frozenset[str]

    def granted(self, services: Iterable[str]) -> set[_Call]:
        """Return the calls that the contracts allow to some services."""
        return {
            (caller, grant.path)
            for name in services
            for grant in self.grants[name]
            for caller in grant.principals
        }


class Policies:
    """All policies of SREs. `default_deny` must be there, so that Istio allows nothing else."""

    def __init__(self, resources: list[Resource], known: Known, findings: Findings) -> None:
        self._known = known
        found = of_kind(resources, shapes.AuthorizationPolicySpec)
        self._rules = [(each, spec) for each, spec in found if spec.rules is not None]
        defaults = [each for each, spec in found if spec.rules is None]
        with findings.noted():
            if not defaults:
                problem = f"mesh/config needs exactly one {_KIND} with an empty spec"
                raise Absent(problem, _KIND)
            for another in defaults[1:]:
                problem = f"only one {_KIND} may have an empty spec; remove this one"
                raise another.fault(("kind",), problem)
        faults = list(self._faults())
        for each in (*faults, *_annotation_faults(resources)):
            findings.add(each)
        # Two policies may contradict each other only if each of them is right.
        for each in () if faults else self._conflicts():
            findings.add(each)

    def of(self, service: str) -> tuple[model.Policy, ...]:
        """Return the policies that apply to one service."""
        return tuple(
            _policy(resource, spec)
            for resource, spec in self._rules
            if _selected(spec) in (None, service)
        )

    def _services(self, spec: shapes.AuthorizationPolicySpec) -> list[str]:
        chosen = _selected(spec)
        return [each for each in self._known.grants if chosen in (None, each)]

    def _faults(self) -> Iterator[ConfigFault]:
        for resource, spec in self._rules:
            chosen = _selected(spec)
            if chosen and chosen not in self._known.grants:
                remedy = suggestion(chosen, self._known.grants)
                problem = f"no service is called {chosen}; {remedy}"
                yield resource.fault(("spec", "selector", "matchLabels", "app"), problem)
                continue
            for index, rule in enumerate(spec.rules or ()):
                at: Place = ("spec", "rules", index)
                unknown = list(self._unknown(resource, spec, rule, at))
                yield from unknown
                if not unknown and not is_dry_run(resource.metadata):
                    yield from self._effect_faults(resource, spec, rule, at)

    def _unknown(
        self,
        resource: Resource,
        spec: shapes.AuthorizationPolicySpec,
        rule: shapes.Rule,
        at: Place,
    ) -> Iterator[ConfigFault]:
        paths = {g.path for name in self._services(spec) for g in self._known.grants[name]}
        names = {each.removeprefix(_SPIFFE) for each in self._known.identities}
        for index, each in enumerate(rule.from_ or ()):
            source = each.source
            for field, found in (
                ("principals", source.principals),
                ("notPrincipals", source.not_principals),
            ):
                place = (*at, "from", index, "source", field)
                yield from _misses(resource, place, found, names, "no workload has the identity")
        for index, each in enumerate(rule.to or ()):
            operation = each.operation
            for field, found in (("paths", operation.paths), ("notPaths", operation.not_paths)):
                place = (*at, "to", index, "operation", field)
                yield from _misses(resource, place, found, paths, "no method has the path")

    def _effect_faults(
        self,
        resource: Resource,
        spec: shapes.AuthorizationPolicySpec,
        rule: shapes.Rule,
        at: Place,
    ) -> Iterator[ConfigFault]:
        granted = self._known.granted(self._services(spec))
        matched = self._matched(spec, rule)
        if spec.action == "DENY" and not matched & granted:
            yield resource.fault(at, "it denies nothing that the contracts allow; remove it")
        beyond = sorted(matched - granted)
        if spec.action == "ALLOW" and beyond:
            caller, path = beyond[0]
            name = caller.rpartition("/")[2]
            problem = f"it would allow {name} to call {path}, which the contract does not"
            yield resource.fault(at, f"{problem}; change the policy of the method in proto/")

    def _matched(self, spec: shapes.AuthorizationPolicySpec, rule: shapes.Rule) -> set[_Call]:
        """Return all calls that a rule matches."""
        paths = {g.path for name in self._services(spec) for g in self._known.grants[name]}
        return {
            (caller, path)
            for made in _rules(rule)
            for path in paths
            if made.fits_path(path)
            for caller in self._known.identities
            if made.fits_caller(caller)
        }

    def _conflicts(self) -> Iterator[ConfigFault]:
        """Yield an error for each rule that allows only what other rules deny."""
        live = [each for each in self._rules if not is_dry_run(each[0].metadata)]
        denied = {
            call
            for _, spec in live
            if spec.action == "DENY"
            for rule in spec.rules or ()
            for call in self._matched(spec, rule)
        }
        for resource, spec in live:
            for index, rule in enumerate(spec.rules or ()):
                if spec.action == "ALLOW" and self._matched(spec, rule) <= denied:
                    problem = "other policies deny all that it allows; remove one of them"
                    yield resource.fault(("spec", "rules", index), problem)


def _selected(spec: shapes.AuthorizationPolicySpec) -> str | None:
    return spec.selector.match_labels["app"] if spec.selector else None


def _misses(
    resource: Resource, at: Place, found: list[str] | None, known: set[str], problem: str
) -> Iterator[ConfigFault]:
    for index, each in enumerate(found or ()):
        if not any(pattern(each).fits(one) for one in known):
            yield resource.fault((*at, index), f"{problem} {each}; {suggestion(each, known)}")


def _annotation_faults(resources: list[Resource]) -> Iterator[ConfigFault]:
    for each in resources:
        found = (each.metadata.annotations or {}).get(shapes.DRY_RUN)
        place = ("metadata", "annotations", shapes.DRY_RUN)
        spec = each.spec
        if found is None:
            continue
        if not isinstance(spec, shapes.AuthorizationPolicySpec) or spec.rules is None:
            problem = f"it is for an {_KIND} with rules; remove it"
            yield each.fault(place, f"{shapes.DRY_RUN}: {problem}")
        elif found not in ("true", "false"):
            yield each.fault(place, f'{shapes.DRY_RUN} must be "true" or "false"')


def pattern(found: str, prefix: str = "") -> model.Text:
    """Return a condition that may have one "*" at the beginning or the end.

    `prefix` is before every text with which it is compared.
    """
    if found == "*":
        return model.Text(model.TextSort.PRESENT, "")
    if found.startswith("*"):
        return model.Text(model.TextSort.SUFFIX, found[1:])
    if found.endswith("*"):
        return model.Text(model.TextSort.PREFIX, prefix + found[:-1])
    return model.Text(model.TextSort.EXACT, prefix + found)


def _policy(resource: Resource, spec: shapes.AuthorizationPolicySpec) -> model.Policy:
    return model.Policy(
        name=resource.metadata.name,
        verdict=model.Verdict[spec.action],
        rules=tuple(made for each in spec.rules or () for made in _rules(each)),
        dry_run=is_dry_run(resource.metadata),
    )


def _rules(found: shapes.Rule) -> tuple[model.PolicyRule, ...]:
    """Return a rule for each of the operations, of which one is enough."""
    callers = tuple(
        model.Caller(
            tuple(pattern(each, _SPIFFE) for each in one.source.principals or ()),
            tuple(pattern(each, _SPIFFE) for each in one.source.not_principals or ()),
        )
        for one in found.from_ or ()
    )
    if found.to is None:
        return (model.PolicyRule(callers),)
    return tuple(
        model.PolicyRule(
            callers,
            tuple(pattern(each) for each in one.operation.paths or ()),
            tuple(pattern(each) for each in one.operation.not_paths or ()),
        )
        for one in found.to
    )
