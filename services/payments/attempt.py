"""What a worker knows of one debit while it runs; pure."""

import asyncio
from dataclasses import dataclass


@dataclass(slots=True)
class Attempt:
    """One debit: whether it may have been written, and whether a caller waits for it."""

    begun: bool = False
    abandoned: bool = False
    lost: Exception | None = None
    """The error that lost the answer to a statement: the debit may have been written."""

    def begin(self) -> None:
        """Note that the statement starts."""
        self.begun = True

    def lose(self, error: Exception) -> None:
        """Note that the answer to the statement is lost."""
        self.lost = error

    def undone(self) -> None:
        """Note that the statement was rolled back; raise CancelledError if no caller waits."""
        self.begun = False
        if self.abandoned:
            raise asyncio.CancelledError

    def abandon(self) -> bool:
        """Note that the caller stopped waiting; return whether the debit can still be dropped."""
        self.abandoned = True
        return not self.begun
