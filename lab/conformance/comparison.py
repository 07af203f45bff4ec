"""Compares two sets of facts; each difference needs a row in differences.toml that says why.

A row is a pattern of facts with the two values, or "*" for any value. A row that explains nothing
is an error too, so the table cannot outlive its reasons.
"""

import fnmatch
import json
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

TABLE = Path(__file__).with_name("differences.toml")
ABSENT = "(not asked)"


@dataclass(frozen=True)
class Row:
    """A known difference: which facts, what each side says, and the reason."""

    facts: tuple[str, ...]
    ours: str
    istio: str
    reason: str

    def is_about(self, beginning: str) -> bool:
        """Return whether the row is about facts that begin so."""
        return all(each.startswith(beginning) for each in self.facts)

    def explains(self, difference: "Difference") -> bool:
        """Return whether the row is about a difference."""
        values = ((self.ours, difference.ours), (self.istio, difference.istio))
        return any(fnmatch.fnmatchcase(difference.fact, each) for each in self.facts) and all(
            wanted in ("*", text(value)) for wanted, value in values
        )


@dataclass(frozen=True)
class Difference:
    """One fact with two values."""

    fact: str
    ours: Any
    istio: Any

    def __str__(self) -> str:
        """Return one line."""
        return f"{self.fact}\n    ours  {text(self.ours)}\n    istio {text(self.istio)}"


@dataclass(frozen=True)
class Verdict:
    """The outcome of a comparison."""

    equal: int
    explained: Mapping[str, list[Difference]]
    """Differences by the reason of their row."""
    unexplained: tuple[Difference, ...]
    idle: tuple[Row, ...]
    """Rows that explain nothing."""

    @property
    def holds(self) -> bool:
        """Return whether every difference has a row, and every row a difference."""
        return not self.unexplained and not self.idle


def text(value: Any) -> str:
    """Return a value as a row has it."""
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def rows(table: Path = TABLE) -> tuple[Row, ...]:
    """Return the known differences."""
    return tuple(
        Row(
            tuple([each["facts"]] if isinstance(each["facts"], str) else each["facts"]),
            each.get("ours", "*"),
            each.get("istio", "*"),
            each["reason"],
        )
        for each in tomllib.loads(table.read_text())["difference"]
    )


def flat(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return one fact for each field of an answer, by "question: field"."""
    leaves = (_leaves(question, answer) for question, answer in facts.items())
    return dict(chain.from_iterable(leaves))


def _leaves(question: str, answer: Any, *, joint: str = ": ") -> Iterator[tuple[str, Any]]:
    if not isinstance(answer, dict):
        yield question, answer
        return
    for key, value in answer.items():
        if key == "to":
            yield f"{question}{joint}{key}", value
        else:
            yield from _leaves(f"{question}{joint}{key}", value, joint=".")


def differences(ours: Mapping[str, Any], istio: Mapping[str, Any]) -> list[Difference]:
    """Return every fact that the two sides state differently."""
    questions = dict.fromkeys((*ours, *istio))
    pairs = ((each, ours.get(each, ABSENT), istio.get(each, ABSENT)) for each in questions)
    return [Difference(*each) for each in pairs if each[1] != each[2]]


def compare(ours: Mapping[str, Any], istio: Mapping[str, Any], known: Iterable[Row]) -> Verdict:
    """Compare all facts."""
    ours, istio = flat(ours), flat(istio)
    table = tuple(known)
    explained: dict[str, list[Difference]] = {}
    left: list[Difference] = []
    used: set[Row] = set()
    found = differences(ours, istio)
    for each in found:
        row = next((one for one in table if one.explains(each)), None)
        if row is None:
            left.append(each)
        else:
            used.add(row)
            explained.setdefault(row.reason, []).append(each)
    equal = len({*ours, *istio}) - len(found)
    return Verdict(equal, explained, tuple(left), tuple(r for r in table if r not in used))
