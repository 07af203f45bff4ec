"""The messages on disk: journals of a limited length, the two newest of which are kept.

A message's journal is deleted only when the next journal is full, so the newest messages survive
kill -9 and the disk space has a limit.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sandbox.partners.journal import Journal

KEPT_JOURNALS = 2


class Store:
    """Numbered journals in one folder. Call `replay` first, then `append`."""

    def __init__(self, folder: Path, messages_max: int) -> None:
        """A journal with `messages_max` messages is full."""
        self._folder = folder
        self._messages_max = messages_max
        numbers = sorted(int(path.stem.rpartition("-")[2]) for path in folder.glob("sms-*.journal"))
        self._numbers = numbers or [1]
        self._journal = Journal(self._path(self._numbers[-1]))
        self._messages = 0

    def replay(self) -> Iterator[dict[str, Any]]:
        """Yield every record, oldest first."""
        for number in self._numbers[:-1]:
            older = Journal(self._path(number))
            yield from (record for _, record in older.replay())
            older.close()
        for _, record in self._journal.replay():
            self._messages += record["do"] == "accept"
            yield record

    def append(self, record: dict[str, Any]) -> None:
        """Write one record; a full journal is closed and the next one begins."""
        is_message = record["do"] == "accept"
        if is_message and self._messages >= self._messages_max:
            self._begin_next()
        self._journal.append(record)
        self._messages += is_message

    def close(self) -> None:
        """Release the journal."""
        self._journal.close()

    def _begin_next(self) -> None:
        self._journal.close()
        self._numbers.append(self._numbers[-1] + 1)
        self._journal, self._messages = Journal(self._path(self._numbers[-1])), 0
        for number in self._numbers[:-KEPT_JOURNALS]:
            self._path(number).unlink(missing_ok=True)
        del self._numbers[:-KEPT_JOURNALS]

    def _path(self, number: int) -> Path:
        return self._folder / f"sms-{number}.journal"
