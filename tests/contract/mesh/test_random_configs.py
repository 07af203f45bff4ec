"""A random configuration is refused at a line, or a real Envoy accepts it for every proxy.

`make fuzz` judges a thousand. A random seed is printed with the failure.
"""

import secrets
from collections.abc import Iterator

import pytest

from lab.fuzz.configs import repository, runs, structure
from lab.fuzz.configs.judged import Judge
from mesh.controlplane.ingest import regexes

FIXED_SEED = 20261130
COUNT = 40
ACCEPTED_MIN = 0.4
"""Of few configurations; of a thousand about two thirds are accepted."""
HOST = "customers.bp.svc.cluster.local"


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    """Return a judge with an Envoy that waits."""
    with Judge(whole_every=8) as made:
        yield made


@pytest.mark.parametrize("seed", [FIXED_SEED, secrets.randbelow(2**31)], ids=["fixed", "random"])
def test_a_random_configuration_is_refused_at_a_line_or_envoy_accepts_it(
    judge: Judge, seed: int
) -> None:
    tally = runs.random_part(judge, COUNT, seed)
    again = f"python -m lab.fuzz.configs --configs {COUNT} --seed {seed}"
    shown = [f"{each.text}\n{each.changed.shown()}" for each in tally.problems]
    assert not shown, "\n".join([again, *shown])
    assert tally.accepted >= COUNT * ACCEPTED_MIN, again
    assert tally.validated


def _with_regex(expression: str) -> repository.Changed:
    made = repository.files()
    http = structure.rule_of(made, HOST, "VirtualService")["spec"]["http"]
    match = [{"headers": {"x-a": {"regex": expression}}}]
    http.insert(0, {**http[0], "match": match})
    return repository.changed(made)


@pytest.mark.parametrize("expression", ["a{90}", "[a-z]{94}", r"\W{15}", "(?i)(?:ab){40}"])
def test_envoy_accepts_the_largest_expressions(judge: Judge, expression: str) -> None:
    found = judge.at_once(_with_regex(expression))
    assert found.accepted
    assert not found.problems


def test_envoy_refuses_what_is_larger(judge: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(regexes, "_PROGRAM_MAX", 10_000)
    found = judge.at_once(_with_regex("[a-z]{120}"))
    assert "RE2 program size of 124 > max program size of 100" in found.problems[0]
