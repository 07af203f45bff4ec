"""Evaluates a method's step-up rule: does this request need a recent second factor?

The rule is in the contract (bp.policy.v1.StepUp) and reaches a handler as `Call.step_up`.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime

from services.chassis.call_context import Call
from services.contracts import StepUpRule
from services.kernel import errors

AMOUNT = "AMOUNT"
NEW_BENEFICIARY = "NEW_BENEFICIARY"
METHOD = "METHOD"


def is_recent(rule: StepUpRule, auth_time: datetime | None, now: datetime) -> bool:
    """Return whether the second factor is recent enough; an unknown time never is.

    A time in the future is recent: the gateway refuses tokens whose issuer's clock is far ahead.
    """
    if auth_time is None:
        return False
    return (now - auth_time).total_seconds() * 1000 <= rule.max_age_ms


def is_above(rule: StepUpRule, minor_units: int) -> bool:
    """Return whether the amount needs a second factor."""
    return 0 < rule.above_minor_units < minor_units


def unmet_rule(call: Call) -> StepUpRule | None:
    """Return the method's rule if the call's second factor is too old for it, otherwise None.

    The age is that at `call.admit_time`.
    """
    rule = call.step_up
    if rule is None or is_recent(rule, call.auth_time, call.admit_time):
        return None
    return rule


def require_for_method(call: Call) -> None:
    """Raise StepUpRequired if every request of the method needs a recent factor, and it is old."""
    unmet = unmet_rule(call)
    if unmet is not None and unmet.always:
        raise _required(unmet, METHOD)


async def refuse_old_factor(
    unmet: StepUpRule | None,
    *,
    minor_units: int,
    is_new_beneficiary: Callable[[], Awaitable[bool]],
) -> errors.StepUpRequired | None:
    """Return the error of a request that needs a recent second factor, or None.

    `unmet` is the call's unmet rule. `is_new_beneficiary` is asked only if its answer decides.
    """
    if unmet is None:
        return None
    if is_above(unmet, minor_units):
        return _required(unmet, AMOUNT)
    if unmet.new_beneficiary and await is_new_beneficiary():
        return _required(unmet, NEW_BENEFICIARY)
    return None


def _required(rule: StepUpRule, cause: str) -> errors.StepUpRequired:
    return errors.StepUpRequired(max_age_s=str(rule.max_age_ms // 1000), required_for=cause)
