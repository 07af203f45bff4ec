"""Comparable systems and BP, measured in one sitting on one machine.

The host's speed changes by three times between hours (docs/performance.md), so figures of other
sittings must not be added here: measure all systems again and replace all rows. One unit of each
system is different work; `unit` describes it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Measured:
    """One system that answers requests."""

    label: str
    """Short name, for the chart."""
    system: str
    """Name and version, and the commit."""
    unit: str
    """The unit, and the work that the system does for it."""
    least_per_s: int
    most_per_s: int
    p99_ms: str
    cpu_ms: str
    """CPU of one unit."""
    typical_per_s: int | None = None
    """The range over several runs, if it is wide."""
    per_s_at_64: int | None = None
    """The same with 64 connections instead of 32. None: not measured."""
    ours: bool = False


@dataclass(frozen=True, slots=True)
class Function:
    """SQL alone, under pgbench."""

    label: str
    spread_per_s: int
    """Postings on many accounts."""
    hot_per_s: int
    """Postings on one hot account."""
    ours: bool = False


@dataclass(frozen=True, slots=True)
class Race:
    """How a system handled concurrent requests that contradict each other."""

    system: str
    accepted: str
    """Accepted out of 50 concurrent debits of a whole balance; 1 is correct."""
    rows: str
    """Rows written for one idempotency key that was sent 50 times; 1 is correct."""


DATE = "2026-11-28"
MACHINE = "2 cores of an AMD EPYC, in a slow hour"

BASELINE = Measured(
    "BP baseline: one durable debit",
    "**BP** 2eff396, baseline",
    "one durable debit in place of the service; gateway, sidecars, TLS and mTLS",
    512,
    532,
    "117",
    "3.5",
    ours=True,
)
BLNK = Measured(
    "Blnk: one posting",
    "Blnk 0.15.2 (cba0072)",
    "one posting; no TLS, no authentication, hash chain off",
    290,
    335,
    "179 to 219",
    "5.6 to 6.5",
    per_s_at_64=436,
)
BANK_OF_ANTHOS = Measured(
    "Bank of Anthos: one row",
    "Bank of Anthos 0.6.7 (d0af047), warm",
    "one row; RS256 token; no TLS, no events",
    265,
    295,
    "285 to 332",
    "6.4 to 7.2",
    per_s_at_64=306,
)
FORMANCE_MINIMAL = Measured(
    "Formance, minimal: one posting",
    "Formance 2.4.1 (25f8708), minimal features",
    "one posting",
    218,
    247,
    "260 to 291",
    "7.7 to 8.7",
)
BOOK = Measured(
    "BP book transfer, in full",
    "**BP** 2eff396, book transfer",
    "one book transfer; TLS and mTLS, events, audit record, two pushes",
    151,
    196,
    "397",
    "9.3",
    typical_per_s=182,
    per_s_at_64=208,
    ours=True,
)
FORMANCE_DEFAULT = Measured(
    "Formance, default: one posting",
    "Formance 2.4.1 (25f8708), default features",
    "one posting with the history of moves and a hashed log",
    145,
    186,
    "365 to 382",
    "9.8 to 11.7",
    per_s_at_64=180,
)
INTERBANK = Measured(
    "BP interbank transfer, in full",
    "**BP** 2eff396, interbank transfer",
    "one interbank transfer; the same, with fraud score, clearing house and saga",
    96,
    126,
    "558",
    "14.7",
    typical_per_s=113,
    per_s_at_64=126,
    ours=True,
)
SYSTEMS = (BASELINE, BLNK, BANK_OF_ANTHOS, FORMANCE_MINIMAL, BOOK, FORMANCE_DEFAULT, INTERBANK)
"""Ordered by speed with 32 connections."""

FUNCTIONS = (
    Function("BP in batches", 11_024, 9_438, ours=True),
    Function("BP one by one", 1_916, 1_242, ours=True),
    Function("pgledger", 1_207, 626),
)
"""Measured in one run."""

RACES = (
    Race("Bank of Anthos", "26, 13, 12", "5, 10, 3"),
    Race("Blnk", "1, 1, 1", "1, 1, 1"),
    Race("Formance", "1, 1, 1", "1, 1, 1"),
    Race("**BP**", "1, 1, 1", "1, 1, 1"),
)
"""Three tries each."""
