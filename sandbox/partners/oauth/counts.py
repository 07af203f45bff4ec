"""What the control API counts."""

from dataclasses import dataclass


@dataclass(slots=True)
class Counts:
    """Counters since the start of the provider; a reuse is an earlier refresh token used again."""

    tokens_issued: int = 0
    tokens_refused: int = 0
    refreshes: int = 0
    reuses: int = 0
    revocations: int = 0
