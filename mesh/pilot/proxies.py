"""What the admin API asks about proxies; the delivery answers."""

from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Synced:
    """The proxies that have not acknowledged what is in force: connected ones, and the others."""

    waiting: list[str]
    not_connected: list[str]


class Proxies(Protocol):
    """The proxies and what they have acknowledged."""

    def status(self) -> list[dict[str, Any]]:
        """Return for each proxy its name and the state of each kind."""
        ...

    async def wait_synced(self, timeout_s: float, connects_s: float = 0.0) -> Synced:
        """Wait until every connected proxy has what is in force; return those that do not.

        A proxy that uses a stream and has none gets `connects_s` to connect.
        """
        ...
