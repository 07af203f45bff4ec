"""A closed loop of one step of a login, with the CPU that it cost the bank."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from lab.bench import series
from lab.bench.bench import QUICK_S, Bench
from lab.bench.load.callers import Answers, Step, repeat
from lab.bench.meters.meter import Spent, metered
from sandbox.app import App

WARM_UP_S = 3.0


@dataclass(frozen=True, slots=True)
class Measured:
    """The answers of a closed loop and their cost."""

    answers: Answers
    spent: Spent


def usual_s(bench: Bench, seconds: float) -> float:
    """Return the measured seconds of a loop, unless the options ask for another number."""
    return bench.scale.seconds or (QUICK_S if bench.scale.quick else seconds)


async def closed_loop(
    bench: Bench, name: str, apps: Sequence[App], step: Step, at_once: int, seconds: float
) -> Measured:
    """Run a step in a closed loop. An answer that is an error makes the bench void."""
    warm_up_s = bench.scale.quick_warm_up_s if bench.scale.quick else WARM_UP_S
    bench.say(f"{name}: {warm_up_s + seconds:g} s")
    async with metered(bench.test_bench, bench.test_bench.pids()) as spent:
        answers = await repeat(apps, step, at_once, warm_up_s, seconds)
    bench.found.void += answers.problems(name)
    return Measured(answers, spent)


def note(bench: Bench, name: str, *rounds: Measured) -> None:
    """Add the figures of all rounds of a loop to the findings."""
    bench.found.figures |= {f"{name}.{what}": one for what, one in figures(rounds).items()}
    bench.found.details.setdefault("login", {})[name] = {
        "answers": _answers(rounds),
        "per_s": [round(one.answers.per_s, 2) for one in rounds],
        "cpu_ms_by_part": cpu_ms_by_part(rounds),
    }


def figures(rounds: Sequence[Measured]) -> dict[str, float]:
    """Return the figures of all rounds together. Only the rate is a mean of the rounds' rates,
    because other work separates them."""
    took_ms = sorted(ms for one in rounds for ms in one.answers.took_ms)
    seconds = [one.spent.seconds for one in rounds]
    bank_cpu_s = sum(one.spent.bank_cpu_s for one in rounds)
    return {
        "per_s": round(fmean(one.answers.per_s for one in rounds), 2),
        "p50_ms": round(series.percentile(took_ms, 50), 1),
        "p99_ms": round(series.percentile(took_ms, 99), 1),
        # The bank's idle work is included.
        "cpu_ms": round(1000 * bank_cpu_s / _answers(rounds), 1),
        "others_share": round(fmean((one.spent.others_share for one in rounds), seconds), 3),
    }


def cpu_ms_by_part(rounds: Sequence[Measured]) -> dict[str, float]:
    """Return the CPU milliseconds of each part for each answer, largest first."""
    cpu_s = Counter[str]()
    for one in rounds:
        cpu_s.update(one.spent.cpu_s)
    return {part: round(1000 * s / _answers(rounds), 2) for part, s in cpu_s.most_common()}


def _answers(rounds: Sequence[Measured]) -> int:
    """Return the number of good answers; 1 if there is none, because figures are divided by it."""
    return max(sum(one.answers.total for one in rounds), 1)
