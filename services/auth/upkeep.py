"""Work in the background: what Valkey lost is restored, requests of operators are carried out, and
old rows are deleted."""

import asyncio
from datetime import timedelta

from services.auth.families import Families
from services.auth.operator_requests import OperatorRequests
from services.auth.publisher import Publisher
from services.auth.revocations_out import MATTERS, Revocations
from services.auth.store import Store
from services.chassis.periodic import repeat
from services.kernel.clock import utc_now

RECONCILE_S = 2.0
"""How often the ends of sessions are compared with Valkey; a part of the five seconds within which
a revocation must be in force everywhere."""
WHOLE_S = 30
"""How often all ends that still matter are compared, by one of the processes."""
RECENT = timedelta(seconds=WHOLE_S + 150)
"""How far back every comparison goes: to the last whole one, and two and a half minutes for
differences between the clocks of auth's hosts and for transactions that commit late."""
OPERATOR_S = 0.5
"""How often a process looks for requests of operators, who wait for the answer."""
DAY_S = 24 * 3600.0


class Upkeep:
    """The loops of one process. They may run in several processes at once."""

    def __init__(
        self,
        store: Store,
        families: Families,
        revocations: Revocations,
        publisher: Publisher,
        requests: OperatorRequests,
    ) -> None:
        self._store = store
        self._families = families
        self._revocations = revocations
        self._publisher = publisher
        self._requests = requests

    async def run(self) -> None:
        """Run until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(repeat("reconcile", self.reconcile, RECONCILE_S))
            tasks.create_task(repeat("unconfirmed", self.confirm, RECONCILE_S))
            tasks.create_task(repeat("operators", self._requests.carry_out, OPERATOR_S))
            tasks.create_task(repeat("retention", self._publisher.upkeep, DAY_S))

    async def reconcile(self) -> None:
        """Give Valkey the ends of sessions that it does not have; all of them if it lost its data.

        A restart of Valkey loses its last second, and a call that ended a session may have failed
        between the database and Valkey. After an outage of more than WHOLE_S all are compared.
        """
        whole = not await self._revocations.is_compared()
        ended = await self._store.recently_ended(utc_now() - (MATTERS if whole else RECENT))
        lost = await self._revocations.missing([session_id for session_id, _ in ended])
        await self._families.end(lost)
        await self._revocations.reconcile(lost)
        if whole:
            await self._revocations.note_compared(WHOLE_S)

    async def confirm(self) -> None:
        """End the families of logins whose rows were never stored, for example after a crash."""
        if noted := await self._families.unconfirmed():
            stored = await self._store.open_sessions(noted)
            await self._families.end([each for each in noted if each not in stored])
            await self._families.confirm(noted)
