"""Work in the background: what Valkey lost is restored, requests of operators are carried out, the
provider learns of ended sessions, dummy hashes get the costs of the stored ones, and old rows are
deleted."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta

import structlog

from services.auth.dummies import Dummies
from services.auth.families import Families
from services.auth.grants import EndedGrants
from services.auth.operator_requests import OperatorRequests
from services.auth.publisher import Publisher
from services.auth.revocations_out import MATTERS, Revocations
from services.auth.store import Store
from services.chassis.periodic import repeat
from services.chassis.unreachable import UNREACHABLE
from services.kernel.clock import utc_now

RECONCILE_S = 2.0
"""How often the ends of sessions are compared with Valkey; a part of the five seconds within which
a revocation must be in force everywhere."""
WHOLE = timedelta(seconds=30)
"""How often all ends that still matter are compared, by one of the processes."""
CLOCKS = timedelta(seconds=150)
"""Differences between the clocks of auth's hosts, and transactions that commit late."""
RECENT = WHOLE + CLOCKS
"""How far back every comparison goes: to the last whole one, and a tolerance."""
OPERATOR_S = 0.5
"""How often a process looks for requests of operators, who wait for the answer."""
DUMMIES_S = 3600.0
"""How often a process counts the costs of stored hashes."""
GRANTS_S = 5.0
"""How often a process ends the grants of ended sessions at the provider."""
DAY_S = 24 * 3600.0

log = structlog.get_logger()


class Reconciliation:
    """Gives Valkey what it lost, or what a call that failed did not write."""

    def __init__(self, store: Store, families: Families, revocations: Revocations) -> None:
        self._store = store
        self._families = families
        self._revocations = revocations

    async def reconcile(self) -> None:
        """Give Valkey the ends of sessions that it does not have; all of them if it lost its data.

        A restart of Valkey loses its last second, and a call that ended a session may have failed
        between the database and Valkey. If Valkey was down for long, or its data is an old copy,
        refresh tokens are deleted also of sessions that ended longer ago.
        """
        now = utc_now()
        compared = await self._revocations.compared_until()
        whole = compared is None or not -CLOCKS < now - compared < WHOLE
        since = min(now, compared or now) - MATTERS if whole else now - RECENT
        ended = dict(await self._store.recently_ended(since))
        lost = await self._revocations.missing([*ended])
        await self._families.end(lost)
        await self._revocations.reconcile([each for each in lost if ended[each] > now - MATTERS])
        if whole:
            await self._revocations.note_compared(now)

    async def confirm(self) -> None:
        """End the families of logins whose rows were never stored, for example after a crash."""
        while noted := await self._families.unconfirmed():
            stored = await self._store.open_sessions(noted)
            await self._families.end([each for each in noted if each not in stored])
            await self._families.confirm(noted)


@dataclass(frozen=True, slots=True, kw_only=True)
class Upkeep:
    """The loops of one process. They may run in several processes at once."""

    reconciliation: Reconciliation
    requests: OperatorRequests
    grants: EndedGrants
    store: Store
    dummies: Dummies
    publisher: Publisher

    async def prepare(self) -> None:
        """Spread the dummies before the first call; `run` repeats it after an outage.

        The time of a wrong cost would reveal an account, but a bank without logins is worse.
        """
        try:
            await self.spread_dummies()
        except UNREACHABLE as error:
            log.warning("upkeep.dummies_not_spread", error=type(error).__name__)

    async def run(self) -> None:
        """Run until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(repeat("reconcile", self.reconciliation.reconcile, RECONCILE_S))
            tasks.create_task(repeat("unconfirmed", self.reconciliation.confirm, RECONCILE_S))
            tasks.create_task(repeat("operators", self.requests.carry_out, OPERATOR_S))
            tasks.create_task(repeat("dummies", self.spread_dummies, DUMMIES_S))
            tasks.create_task(repeat("grants", self.grants.revoke, GRANTS_S))
            tasks.create_task(repeat("retention", self.publisher.upkeep, DAY_S))

    async def spread_dummies(self) -> None:
        """Give the dummy hashes of unknown addresses the costs of the stored hashes."""
        self.dummies.spread(await self.store.hashes_by_cost())
