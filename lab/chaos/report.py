"""The verdict of a run, as JSON and as lines that a person reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from lab.chaos.expected_balances import Difference
from lab.chaos.healing import Healing
from lab.chaos.orders import Order
from lab.chaos.schedule import Fault

NAMED_MAX = 20


@dataclass(frozen=True, slots=True)
class Struck:
    """A fault that was carried out, and what is to be said about it."""

    fault: Fault
    note: str

    def line(self) -> str:
        """Return it as one line."""
        fault = self.fault
        what = f"{fault.at_s:6.1f} s  {fault.kind:<24} {fault.target:<22} {fault.lasts_s:4.1f} s"
        return f"{what}  {self.note}".rstrip()

    def to_json(self) -> dict[str, Any]:
        """Return it as the report has it."""
        fault = self.fault
        told = {"at_s": fault.at_s, "lasts_s": fault.lasts_s, "share": fault.share}
        return {"kind": fault.kind, "target": fault.target, **told, "note": self.note}


@dataclass(frozen=True, slots=True)
class Outcome:
    """All that a run found out."""

    seed: int
    seconds: float
    struck: Sequence[Struck]
    orders: Sequence[Order]
    answers: Counter[str]
    skipped: int
    healing: Healing
    settled_s: float
    differences: Sequence[Difference]
    verdict: dict[str, Any]
    """The judge's."""

    @property
    def ok(self) -> bool:
        """Whether nothing was lost, nothing doubled, and the bank healed in time."""
        return self.healing.ok and not self.differences and bool(self.verdict["ok"])

    def to_json(self) -> dict[str, Any]:
        """Return the report."""
        healing = self.healing
        return {
            "ok": self.ok,
            "seed": self.seed,
            "seconds": self.seconds,
            "faults": [one.to_json() for one in self.struck],
            "requests": len(self.orders),
            "tries": sum(order.tries for order in self.orders),
            "taken": sum(bool(order.taken_as) for order in self.orders),
            "refused": sum(bool(order.refused_for) for order in self.orders),
            "answers": dict(sorted(self.answers.items())),
            "arrivals_skipped": self.skipped,
            "healing": asdict(healing) | {"ok": healing.ok},
            "settled_s": round(self.settled_s, 1),
            "differences": [one.to_json() for one in self.differences],
            "judge": self.verdict,
        }

    def lines(self) -> list[str]:
        """Return the report in plain words; the faults were told when they struck."""
        told = self.to_json()
        asked = f"{told['requests']} requests in {told['tries']} tries"
        lines = [f"{asked}: {told['taken']} taken, {told['refused']} refused"]
        lines += [f"  {count:6}  {answer}" for answer, count in told["answers"].items()]
        lines += [self._healed(), f"settled within {self.settled_s:.1f} s"]
        lines += [
            f"{one.name}: {one.about}: expected {one.expected}, found {one.actual}"
            for one in self.differences[:NAMED_MAX]
        ]
        lines += [f"judge: {kind}: {n}" for kind, n in self.verdict["difference_counts"].items()]
        lines += [f"  {one}" for one in self.verdict["differences"][:NAMED_MAX]]
        word = "nothing lost, nothing doubled" if self.ok else "NOT SOUND"
        checked = self.verdict["checked"].get("events", 0)
        return [*lines, f"seed {self.seed}: {word} ({checked} events judged)"]

    def _healed(self) -> str:
        healing = self.healing
        told = [
            f"{what} after {seconds:.1f} s" if seconds is not None else f"{what}: NEVER"
            for what, seconds in (
                ("all parts ready", healing.ready_s),
                ("a new transfer accepted", healing.taken_s),
                ("a new transfer settled", healing.settled_s),
            )
        ]
        if healing.breaker_s:
            told.append(f"the clearing house's breaker was open until {healing.breaker_s:.1f} s")
        if healing.ill:
            told.append(f"ill: {', '.join(healing.ill)}")
        return f"{'healed' if healing.ok else 'NOT HEALED IN TIME'}: {', '.join(told)}"
