"""Draws many configurations with one seed, judges them, and shrinks the first problem."""

import contextlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import HypothesisException
from hypothesis.strategies import SearchStrategy

from lab.fuzz.configs import fields
from lab.fuzz.configs.drawn import Left, configurations, hostile_in
from lab.fuzz.configs.fields import Field
from lab.fuzz.configs.judged import Verdict
from lab.fuzz.configs.repository import Changed

_EACH = 50
_EACH_SWEEP, _SWEEPS_MAX = 2, 5
_SHRINKS_MAX = 200
_SLOW = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much)
_CAUSE_CHARS, _ALIKE_CHARS = 60, 30


class Judging(Protocol):
    """Judges configurations, as judged.Judge does."""

    def verdict(self, changed: Changed) -> Verdict:
        """Return the verdict on one configuration, as far as it is known."""
        ...

    def settled(self) -> list[tuple[Changed, str]]:
        """Return the accepted configurations that turned out to have a problem, and which."""
        ...


@dataclass(frozen=True)
class Batch:
    """A seed, what is drawn with it, and how often."""

    seed: int
    drawn: SearchStrategy[Changed]
    count: int


@dataclass(frozen=True)
class Problem:
    """A configuration with a problem, and how many were judged before it, or before its batch."""

    number: int
    text: str
    changed: Changed
    batch: Batch


@dataclass
class Tally:
    """The results of a run."""

    judged: int = 0
    accepted: int = 0
    refused: int = 0
    validated: int = 0
    problems: list[Problem] = field(default_factory=list["Problem"])
    changed: set[Field] = field(default_factory=set[Field])
    changed_and_accepted: set[Field] = field(default_factory=set[Field])
    causes: Counter[str] = field(default_factory=Counter[str])
    """How many configurations had each finding."""

    def note(self, changed: Changed, verdict: Verdict, batch: Batch) -> None:
        """Add one configuration."""
        self.judged += 1
        self.accepted += verdict.accepted
        self.refused += not verdict.accepted and not verdict.problems
        self.validated += verdict.validated
        differing = fields.differing(changed.files)
        self.changed |= differing
        if verdict.accepted:
            self.changed_and_accepted |= differing
        elif verdict.findings:
            self.causes.update(
                {each.partition(": ")[2][:_CAUSE_CHARS] for each in verdict.findings}
            )
        if verdict.problems:
            self.problems.append(Problem(self.judged - 1, verdict.problems[0], changed, batch))


def run(
    judge: Judging,
    count: int,
    first: int,
    each_batch: Callable[[Tally], None] = lambda _: None,
) -> Tally:
    """Judge `count` configurations, then a hostile value in each field that they left out."""
    tally = random_part(judge, count, first, each_batch)
    for each in sorted(fields.honoured() - tally.changed):
        for number in range(first, first + _SWEEPS_MAX):
            if each not in tally.changed:
                _judge(judge, tally, Batch(number, hostile_in(each), _EACH_SWEEP))
    return tally


def random_part(
    judge: Judging,
    count: int,
    first: int,
    each_batch: Callable[[Tally], None] = lambda _: None,
) -> Tally:
    """Judge `count` configurations; equal seeds give equal ones.

    Hypothesis varies what it drew before, so each seed is for a few configurations only.
    """
    tally = Tally()
    while tally.judged < count:
        known = fields.honoured()
        left = Left(known - tally.changed, known - tally.changed_and_accepted)
        size = min(_EACH, count - tally.judged)
        _judge(judge, tally, Batch(first + tally.judged // _EACH, configurations(left), size))
        each_batch(tally)
    return tally


def _judge(judge: Judging, tally: Tally, batch: Batch) -> None:
    def note(changed: Changed) -> None:
        tally.note(changed, judge.verdict(changed), batch)

    before = tally.judged
    _each(batch, note, (Phase.generate,))
    for changed, problem in judge.settled():
        tally.accepted -= 1
        tally.problems.append(Problem(before, problem, changed, batch))


def shrunk(judge: Judging, problem: Problem) -> Changed:
    """Return the smallest configuration found with a problem of the same kind."""
    found, tries = [problem.changed], [0]

    def raised(changed: Changed) -> None:
        tries[0] += 1
        if tries[0] > _EACH + _SHRINKS_MAX:
            return
        problems = [*judge.verdict(changed).problems, *(each for _, each in judge.settled())]
        if any(_alike(each, problem.text) for each in problems):
            found.append(changed)
            raise AssertionError(problem.text)

    # Hypothesis raises the problem, or calls it unstable when the tries have ended.
    with contextlib.suppress(AssertionError, HypothesisException):
        _each(problem.batch, raised, (Phase.generate, Phase.shrink))
    return min(found, key=lambda each: len(each.shown()))


def _alike(one: str, other: str) -> bool:
    return one[:_ALIKE_CHARS] == other[:_ALIKE_CHARS]


def _each(batch: Batch, do: Callable[[Changed], None], phases: tuple[Phase, ...]) -> None:
    @seed(batch.seed)
    @settings(
        max_examples=batch.count,
        database=None,
        deadline=None,
        phases=phases,
        suppress_health_check=_SLOW,
        print_blob=False,
        report_multiple_bugs=False,
    )
    @given(batch.drawn)
    def each(changed: Changed) -> None:
        do(changed)

    each()
