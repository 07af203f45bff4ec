"""Who may call which method at a sidecar: default deny, and the exceptions on each method's route.

Two filters decide, as in Istio: the first denies what SREs deny, the second allows what the
contracts grant. The second one itself denies everything, so a path without a route is denied. The
rules of a method are on its route, so an edit of them does not replace the listener.
"""

from collections.abc import Iterable, Sequence

from envoy_data_plane.envoy.config.rbac import v3 as rbac
from envoy_data_plane.envoy.extensions.filters.http.rbac import v3 as rbac_filter
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager import v3 as hcm
from envoy_data_plane.envoy.type.matcher import v3 as matcher
from envoy_data_plane.google.protobuf import Any

from mesh.controlplane import model
from mesh.controlplane.translate.http import http_filter
from mesh.controlplane.translate.parts import exact, packed, text_matcher

DENY = "bp.filters.deny"
ALLOW = "envoy.filters.http.rbac"
DRY_RUN = "dry_run."
"""The prefix of the counters of policies that only count."""
_Policies = dict[str, rbac.Policy]


def filters() -> list[hcm.HttpFilter]:
    """Return the two filters: without a route's rules the first denies nothing, the second all."""
    nothing = rbac_filter.Rbac(rules=rbac.Rbac(action=rbac.RbacAction.ALLOW))
    return [http_filter(DENY, rbac_filter.Rbac()), http_filter(ALLOW, nothing)]


def rules(grant: model.Grant, policies: Iterable[model.Policy]) -> dict[str, Any]:
    """Return the rules for both filters on a method's route.

    A policy that allows changes nothing, because the contracts allow the same already.
    """
    here = [(each, found) for each in policies if (found := _rules_for(each, grant.path))]
    denied = {each.name: _policy(found) for each, found in here if _enforced_denial(each)}
    would_be = _dry(here, model.Verdict.DENY)
    made = {ALLOW: _on_route(rbac.RbacAction.ALLOW, _granted(grant), _dry(here, _ALLOWED))}
    if denied or would_be:
        made[DENY] = _on_route(rbac.RbacAction.DENY, denied, would_be)
    return made


_ALLOWED = model.Verdict.ALLOW


def _on_route(action: rbac.RbacAction, enforced: _Policies, counted: _Policies) -> Any:
    made = rbac_filter.Rbac()
    if enforced or action is rbac.RbacAction.ALLOW:
        made.rules = rbac.Rbac(action=action, policies=enforced)
    if counted:
        made.shadow_rules = rbac.Rbac(action=action, policies=counted)
        made.shadow_rules_stat_prefix = DRY_RUN
        made.track_per_rule_stats = True
    return packed(rbac_filter.RbacPerRoute(rbac=made))


def _granted(grant: model.Grant) -> _Policies:
    """Return the policy of the contract: its callers may call exactly this path."""
    if not grant.principals:
        return {}
    name = "+".join(each.rpartition("/")[2] for each in grant.principals)
    callers = [_named(exact(each)) for each in grant.principals]
    path = rbac.Permission(url_path=matcher.PathMatcher(path=exact(grant.path)))
    return {name: rbac.Policy(permissions=[path], principals=callers)}


def _enforced_denial(policy: model.Policy) -> bool:
    return policy.verdict is model.Verdict.DENY and not policy.dry_run


def _dry(
    found: Iterable[tuple[model.Policy, list[model.PolicyRule]]], verdict: model.Verdict
) -> _Policies:
    return {
        policy.name: _policy(rules)
        for policy, rules in found
        if policy.dry_run and policy.verdict is verdict
    }


def _rules_for(policy: model.Policy, path: str) -> list[model.PolicyRule]:
    """Return the rules that apply to a path; only its callers are then left to compare."""
    return [rule for rule in policy.rules if rule.fits_path(path)]


def _policy(found: Sequence[model.PolicyRule]) -> rbac.Policy:
    callers = [caller for rule in found for caller in (rule.callers or (model.Caller(),))]
    return rbac.Policy(
        permissions=[rbac.Permission(any=True)], principals=[_caller(each) for each in callers]
    )


def _caller(caller: model.Caller) -> rbac.Principal:
    if not caller.except_identities:
        return _any_of(caller.identities)
    excepted = rbac.Principal(not_id=_any_of(caller.except_identities))
    both = rbac.PrincipalSet(ids=[_any_of(caller.identities), excepted])
    return rbac.Principal(and_ids=both)


def _any_of(identities: tuple[model.Text, ...]) -> rbac.Principal:
    if not identities:
        return rbac.Principal(any=True)
    named = [_named(text_matcher(each)) for each in identities]
    return named[0] if len(named) == 1 else rbac.Principal(or_ids=rbac.PrincipalSet(ids=named))


def _named(name: matcher.StringMatcher) -> rbac.Principal:
    return rbac.Principal(authenticated=rbac.PrincipalAuthenticated(principal_name=name))
