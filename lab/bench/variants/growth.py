"""The cost of a transfer when many are already stored: the same run over a growing history.

It uses a separate test bench, so only the history differs between runs.
"""

from __future__ import annotations

from dataclasses import dataclass

from lab.bench.bench import Bench
from lab.bench.load import orders
from lab.bench.runs import Result, run
from lab.bench.variants import history


@dataclass(frozen=True, slots=True)
class Age:
    """The amount of history that is stored before a run."""

    name: str
    transfers: int
    accounts: int


AGES = (Age("10k", 10_000, 10_000), Age("1m", 1_000_000, 10_000))
LONG_AGE = Age("10m", 10_000_000, 1_000_000)
QUICK_AGES = (Age("2k", 2_000, 1_000), Age("20k", 20_000, 1_000))


async def growth(bench: Bench) -> None:
    """Measure at each age and compare the result with the youngest age."""
    requests = orders.interbank(bench.test_bench, bench.callers)
    first: Result | None = None
    # In this run the JVM compiles Kafka's code, before the first compared run.
    bench.say("growth: warm-up")
    await run(bench.test_bench, bench.scale.load("growth.warm", 64, 2, 18), requests)
    for age in _ages(bench):
        there = await history.transfers_there(bench.test_bench)
        await history.load(bench.test_bench, max(1, age.transfers - there), age.accounts, bench.say)
        # Loading ten million transfers takes longer than a token is valid.
        requests = orders.interbank(bench.test_bench, await orders.payers(bench.test_bench))
        load = bench.scale.load(f"growth.{age.name}", bench.scale.connections, 6, 20)
        result = await bench.measure(load, requests)
        if first is None:
            first = result
        else:
            bench.found.figures |= ratios(age, first, result)
    bench.found.too_many = bench.scale.long
    if bench.scale.long and (problems := await history.books_problems(bench.test_bench)):
        bench.found.void.append(f"growth: the books have {problems} problems")


def _ages(bench: Bench) -> tuple[Age, ...]:
    if bench.scale.quick:
        return QUICK_AGES
    return (*AGES, LONG_AGE) if bench.scale.long else AGES


def ratios(age: Age, young: Result, old: Result) -> dict[str, float]:
    """Return the ratio of CPU at `age` to CPU at the youngest age, for the bank and for
    PostgreSQL."""

    def ratio(before: float, after: float) -> float:
        return round(old.cpu_ms(after) / young.cpu_ms(before), 3) if before else 0.0

    before, after = young.spent, old.spent
    store = "postgres"
    return {
        f"growth.cpu_ratio_{age.name}": ratio(before.bank_cpu_s, after.bank_cpu_s),
        f"growth.postgres_ratio_{age.name}": ratio(
            before.cpu_s.get(store, 0.0), after.cpu_s.get(store, 0.0)
        ),
    }
