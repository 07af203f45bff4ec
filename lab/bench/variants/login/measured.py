"""A closed loop of one step of a login, with the CPU that it cost the bank."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lab.bench.bench import QUICK_S, QUICK_WARM_UP_S, Bench
from lab.bench.load.callers import Answers, Step, repeat
from lab.bench.meters.meter import Spent, metered
from sandbox.app import App

WARM_UP_S = 3.0


@dataclass(frozen=True, slots=True)
class Measured:
    """The answers of a closed loop and their cost."""

    answers: Answers
    spent: Spent

    @property
    def cpu_ms(self) -> float:
        """CPU milliseconds of the bank for each answer, its idle work included."""
        return 1000 * self.spent.bank_cpu_s / max(self.answers.total, 1)


def usual_s(bench: Bench, seconds: float) -> float:
    """Return the measured seconds of a loop, unless the options ask for another number."""
    return bench.scale.seconds or (QUICK_S if bench.scale.quick else seconds)


async def closed_loop(
    bench: Bench, name: str, apps: Sequence[App], step: Step, at_once: int, seconds: float
) -> Measured:
    """Run a step in a closed loop. An answer that is an error makes the bench void."""
    warm_up_s = QUICK_WARM_UP_S if bench.scale.quick else WARM_UP_S
    bench.say(f"{name}: {warm_up_s + seconds:g} s")
    async with metered(bench.test_bench, bench.test_bench.pids()) as spent:
        answers = await repeat(apps, step, at_once, warm_up_s, seconds)
    bench.found.void += answers.problems(name)
    return Measured(answers, spent)


def note(bench: Bench, name: str, measured: Measured) -> None:
    """Add the figures of a loop to the findings."""
    answers = measured.answers
    bench.found.figures |= {
        f"{name}.per_s": round(answers.per_s, 2),
        f"{name}.p50_ms": round(answers.percentile_ms(50), 1),
        f"{name}.p99_ms": round(answers.percentile_ms(99), 1),
        f"{name}.cpu_ms": round(measured.cpu_ms, 1),
        f"{name}.others_share": round(measured.spent.others_share, 3),
    }
    bench.found.details.setdefault("login", {})[name] = {
        "answers": answers.total,
        "cpu_ms_by_part": {
            part: round(1000 * s / max(answers.total, 1), 2)
            for part, s in measured.spent.cpu_s.items()
        },
    }
