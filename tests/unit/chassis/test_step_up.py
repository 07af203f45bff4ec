"""A method's step-up rule: which requests need a recent second factor."""

from datetime import UTC, datetime, timedelta

import pytest

from services.chassis.call_context import Call
from services.chassis.step_up import is_recent, refuse_old_factor, require_for_method, unmet_rule
from services.contracts import StepUpRule
from services.kernel import errors

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
BOTH = StepUpRule(max_age_ms=300_000, new_beneficiary=True, above_minor_units=100_000)
AMOUNT = StepUpRule(max_age_ms=300_000, new_beneficiary=False, above_minor_units=100_000)
BENEFICIARY = StepUpRule(max_age_ms=300_000, new_beneficiary=True, above_minor_units=0)


@pytest.mark.parametrize(
    ("age_s", "recent"), [(0, True), (299, True), (300, True), (301, False), (-60, True)]
)
def test_a_second_factor_is_recent_up_to_the_rules_age(age_s: int, recent: bool) -> None:
    assert is_recent(BOTH, NOW - timedelta(seconds=age_s), NOW) is recent


def test_an_unknown_time_is_never_recent() -> None:
    assert not is_recent(BOTH, None, NOW)


def _call(rule: StepUpRule | None, age_s: int | None) -> Call:
    auth_time = None if age_s is None else NOW - timedelta(seconds=age_s)
    scopes: frozenset[str] = frozenset()
    whose = ("", "gateway", "", scopes, "", "", "", {}, NOW)
    return Call(*whose, auth_time=auth_time, step_up=rule)


ROWS = [
    # rule, age of the second factor in seconds, amount, new beneficiary, cause of the refusal
    (None, None, 1_000_000, True, None),
    (BOTH, 10, 1_000_000, True, None),
    (BOTH, 301, 100_000, False, None),
    (BOTH, 301, 100_001, False, "AMOUNT"),
    (BOTH, 301, 1, True, "NEW_BENEFICIARY"),
    (BOTH, None, 100_001, True, "AMOUNT"),
    (AMOUNT, 301, 100_000, True, None),
    (AMOUNT, 301, 100_001, True, "AMOUNT"),
    (BENEFICIARY, 301, 10**12, False, None),
    (BENEFICIARY, None, 1, True, "NEW_BENEFICIARY"),
]


@pytest.mark.parametrize(("rule", "age_s", "minor_units", "new", "cause"), ROWS)
async def test_only_the_requests_of_the_rule_are_refused(
    rule: StepUpRule | None, age_s: int | None, minor_units: int, new: bool, cause: str | None
) -> None:
    async def is_new() -> bool:
        return new

    unmet = unmet_rule(_call(rule, age_s))
    refused = await refuse_old_factor(unmet, minor_units=minor_units, is_new_beneficiary=is_new)
    if cause is None:
        assert refused is None
    else:
        assert refused is not None
        assert refused.metadata == {"max_age_s": "300", "required_for": cause}


async def test_the_beneficiary_is_looked_up_only_if_it_decides() -> None:
    async def unasked() -> bool:
        pytest.fail("the beneficiary was looked up")

    recent, old = unmet_rule(_call(BOTH, 0)), unmet_rule(_call(BOTH, None))
    assert not await refuse_old_factor(recent, minor_units=1, is_new_beneficiary=unasked)
    assert await refuse_old_factor(old, minor_units=10**9, is_new_beneficiary=unasked)


def test_a_method_that_always_needs_a_recent_factor_refuses_an_old_one() -> None:
    always = StepUpRule(300_000, new_beneficiary=False, above_minor_units=0, always=True)
    require_for_method(_call(always, 300))
    for old_s in (301, None):
        with pytest.raises(errors.StepUpRequired) as refused:
            require_for_method(_call(always, old_s))
        assert refused.value.metadata == {"max_age_s": "300", "required_for": "METHOD"}


def test_a_method_with_conditions_is_not_refused_before_its_handler_decides() -> None:
    require_for_method(_call(BOTH, None))
