"""The rules of the score: pure and deterministic.

A magic beneficiary name sets the score; otherwise each matching rule adds its points.
"""

from dataclasses import dataclass
from typing import Any

SCORE_MAX = 1000
REVIEW_FROM = 500
DECLINE_FROM = 800
BASE = 50
ROUND_UNITS = 100_000
# Beneficiary name → score.
MAGIC_NAMES = {"FRAUD DECLINE": 950, "FRAUD REVIEW": 600, "FRAUD APPROVE": 0}
RISKY_CHANNELS = {"API": 50, "WEB": 25}
WATCH_WORDS = ("CASINO", "CRYPTO", "GIFT CARD")


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Amounts in minor units from which a payment is reviewed or declined."""

    review_minor_units: int
    decline_minor_units: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """Score 0 (harmless) to 1000, the decision, and the reasons."""

    score: int
    decision: str
    reasons: tuple[str, ...]


def judge(minor_units: int, beneficiary: dict[str, Any], channel: str, at: Thresholds) -> Verdict:
    """Score one payment."""
    name = str(beneficiary.get("name", "")).upper().strip()
    if name in MAGIC_NAMES:
        return _verdict(MAGIC_NAMES[name], ["MAGIC_NAME"])
    points: list[tuple[int, str]] = []
    if minor_units >= at.decline_minor_units:
        points.append((850, "AMOUNT_EXTREME"))
    elif minor_units >= at.review_minor_units:
        points.append((500, "AMOUNT_HIGH"))
    if minor_units >= ROUND_UNITS and minor_units % ROUND_UNITS == 0:
        points.append((25, "AMOUNT_ROUND"))
    if any(word in name for word in WATCH_WORDS):
        points.append((300, "BENEFICIARY_WATCHED"))
    if channel.upper() in RISKY_CHANNELS:
        points.append((RISKY_CHANNELS[channel.upper()], "CHANNEL_RISK"))
    return _verdict(BASE + sum(p for p, _ in points), [reason for _, reason in points])


def _verdict(score: int, reasons: list[str]) -> Verdict:
    score = min(SCORE_MAX, score)
    if score >= DECLINE_FROM:
        return Verdict(score, "DECLINE", tuple(reasons))
    return Verdict(score, "REVIEW" if score >= REVIEW_FROM else "APPROVE", tuple(reasons))
