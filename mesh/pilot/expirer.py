"""Removes from the configuration in force what was added for a limited time, when it is due."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable

from mesh.pilot.config_folder import FolderRefused
from mesh.pilot.expiring import SECONDS_MAX, Expiring, Expiry, UnknownExpiry, without
from mesh.pilot.findings import Refused
from mesh.pilot.guarding import Guard, reporting
from mesh.pilot.history import Entry, Origin, Revision
from mesh.pilot.pilot import ParentChanged, Pilot

AGAIN_S = 5.0
"""The pause after a failed removal."""

log = logging.getLogger("control-plane")


class Expirer:
    """Removes due texts. `now_s` returns seconds since the epoch.

    `steady_s` never jumps: if the clock is set back, no text stays longer than it was meant to.
    """

    def __init__(
        self,
        pilot: Pilot,
        expiring: Expiring,
        now_s: Callable[[], float],
        steady_s: Callable[[], float] = time.monotonic,
        guard: Guard | None = None,
    ) -> None:
        """`guard` says which live payments a removal denies: it is logged, not prevented."""
        self._pilot = pilot
        self._expiring = expiring
        self._now_s, self._steady_s = now_s, steady_s
        self._guard = guard
        self._due_s: dict[Expiry, float] = {}
        """Of each text that this process has seen, when it is due by the steady clock."""
        self._changed = asyncio.Event()

    def all(self) -> list[Expiry]:
        """Return what expires, the earliest first."""
        return self._expiring.all()

    def reports(self) -> list[str]:
        """Return what an SRE must look at."""
        return self._expiring.reports()

    def now_s(self) -> float:
        """Return the time in seconds since the epoch."""
        return self._now_s()

    def add(self, expiry: Expiry) -> None:
        """Have something removed when it is due. Raises ValueError if its name is taken."""
        self._expiring.add(expiry)
        self._changed.set()

    def drop(self, name: str) -> None:
        """Forget an entry whose text never came into force."""
        self._expiring.drop(name)

    async def run(self) -> None:
        """Remove what is due until cancelled. A removal that fails is repeated."""
        while True:
            self._changed.clear()
            pause_s = await self._remove_due()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), pause_s)

    async def _remove_due(self) -> float | None:
        """Remove what is due; return how long to wait for the next one, None if there is none."""
        waits_s: list[float] = []
        every = self._expiring.all()
        self._due_s = {each: due_s for each, due_s in self._due_s.items() if each in every}
        for each in every:
            wait_s = self._wait_s(each)
            if wait_s > 0:
                waits_s.append(wait_s)
                continue
            try:
                await self.remove(each.name, "the control plane", f"the time of {each.name} is up")
            except UnknownExpiry:
                continue  # A caller has removed it meanwhile.
            except (Refused, FolderRefused, OSError) as error:
                log.error("%s cannot be removed: %s", each.name, error)
                waits_s.append(AGAIN_S)
        return min(waits_s, default=None)

    def _wait_s(self, expiry: Expiry) -> float:
        """Return how long a text may stay, by the clock that says less."""
        wait_s = expiry.until_s - self._now_s()
        if wait_s > SECONDS_MAX:  # The clock was set back before this process started.
            wait_s = 0.0
        due_s = self._due_s.setdefault(expiry, self._steady_s() + wait_s)
        return min(wait_s, due_s - self._steady_s())

    async def remove(self, name: str, who: str, why: str) -> Revision | None:
        """Remove one now; return the revision, or None without any in force.

        Raises UnknownExpiry, and Refused if the configuration is not valid without its text.
        """
        expiry = self._expiring.get(name)
        approve = reporting(await self._guard(), name) if self._guard else None
        entry = Entry(who, why, Origin.EXPIRY)
        while (current := self._pilot.state.revision) is not None:
            content = without(self._pilot.content, expiry.added)
            with contextlib.suppress(ParentChanged):
                made = await self._pilot.apply(
                    content, entry, parent=current.number, approve=approve
                )
                self._expiring.drop(name)
                return made
        return None
