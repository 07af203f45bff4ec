"""The table of a login's steps: every pair of step and progress."""

from itertools import product

import pytest

from services.auth.state import LOGIN, Progress, Step
from services.kernel.state_table import IllegalTransition

FACTORS = (Progress.OTP_RIGHT, Progress.BIOMETRIC_RIGHT, Progress.TOKENS_FETCHED)
"""What completes a login, in this order only."""


@pytest.mark.parametrize(("step", "progress"), list(product(Step, Progress)))
def test_each_pair_of_step_and_progress_is_either_a_row_or_refused(
    step: Step, progress: Progress
) -> None:
    if (step, progress) in LOGIN.rows:
        assert LOGIN.next(step, progress) is LOGIN.rows[step, progress].to
    else:
        with pytest.raises(IllegalTransition):
            LOGIN.next(step, progress)


def test_no_step_follows_the_end_of_a_login() -> None:
    assert LOGIN.terminal() == {Step.COMPLETED, Step.ENDED}


def test_tokens_are_fetched_only_after_the_code_and_the_biometric_feature() -> None:
    """Of all paths of three steps, one ends with fetched tokens."""
    paths = [path for path in product(Progress, repeat=3) if path[-1] is Progress.TOKENS_FETCHED]
    assert [path for path in paths if _ends(path) is Step.COMPLETED] == [FACTORS]


def _ends(path: tuple[Progress, ...]) -> Step | None:
    """Return the last step of a path; None if the table refuses it."""
    step = LOGIN.initial
    for progress in path:
        if not LOGIN.allows(step, progress):
            return None
        step = LOGIN.next(step, progress)
    return step
