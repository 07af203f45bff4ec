"""The verdict of a run, as JSON and as text lines."""

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
class InjectedFault:
    """An injected fault, with a note about it."""

    fault: Fault
    note: str

    def line(self) -> str:
        """Return one text line."""
        fault = self.fault
        what = f"{fault.at_s:6.1f} s  {fault.kind:<24} {fault.target:<22} {fault.lasts_s:4.1f} s"
        return f"{what}  {self.note}".rstrip()

    def to_json(self) -> dict[str, Any]:
        """Return the entry of the JSON report."""
        fault = self.fault
        told = {"at_s": fault.at_s, "lasts_s": fault.lasts_s, "share": fault.share}
        return {"kind": fault.kind, "target": fault.target, **told, "note": self.note}


@dataclass(frozen=True, slots=True)
class Outcome:
    """All findings of a run."""

    seed: int
    seconds: float
    injected: Sequence[InjectedFault]
    orders: Sequence[Order]
    answers: Counter[str]
    skipped: int
    healing: Healing
    settled_s: float
    differences: Sequence[Difference]
    verdict: dict[str, Any]
    """The judge's report."""

    @property
    def ok(self) -> bool:
        """Return whether nothing was lost or doubled and the bank healed in time."""
        return self.healing.ok and not self.differences and bool(self.verdict["ok"])

    def to_json(self) -> dict[str, Any]:
        """Return the report."""
        healing = self.healing
        return {
            "ok": self.ok,
            "seed": self.seed,
            "seconds": self.seconds,
            "faults": [one.to_json() for one in self.injected],
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
        """Return the report as text lines, without the faults, which were printed as they ended."""
        told = self.to_json()
        asked = f"{told['requests']} requests in {told['tries']} tries"
        lines = [f"{asked}: {told['taken']} accepted, {told['refused']} refused"]
        lines += [f"  {count:6}  {answer}" for answer, count in told["answers"].items()]
        lines += [self._healed(), f"settled within {self.settled_s:.1f} s"]
        lines += [
            f"{one.name}: {one.about}: expected {one.expected}, found {one.actual}"
            for one in self.differences[:NAMED_MAX]
        ]
        lines += [f"judge: {kind}: {n}" for kind, n in self.verdict["difference_counts"].items()]
        lines += [f"  {one}" for one in self.verdict["differences"][:NAMED_MAX]]
        word = "nothing lost, nothing doubled" if self.ok else "FAILED"
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
            told.append(
                f"the breaker to the clearing house was open until {healing.breaker_s:.1f} s"
            )
        if healing.ill:
            told.append(f"not ready: {', '.join(healing.ill)}")
        return f"{'healed' if healing.ok else 'NOT HEALED IN TIME'}: {', '.join(told)}"
