"""Carries out what operators request with `bpctl auth`: unlock a customer, or end the sessions.

The request is a row of auth.operator_request. Several processes may find the same row. Each step
may run twice: the row's answer and the events are written once, in one transaction.
"""

import structlog

from services.auth import events_out
from services.auth.counters import Tries
from services.auth.events_out import Operator, Origin
from services.auth.families import Families
from services.auth.revocations_out import Revocations
from services.auth.state import EndCause
from services.auth.store import Ending, OperatorRequest, Store
from services.auth.withdrawal import withdraw
from services.kernel.clock import utc_now

BATCH_MAX = 20

log = structlog.get_logger()


class OperatorRequests:
    """The operators' requests of one process."""

    def __init__(
        self, store: Store, tries: Tries, families: Families, revocations: Revocations
    ) -> None:
        self._store = store
        self._tries = tries
        self._families = families
        self._revocations = revocations

    async def carry_out(self) -> int:
        """Carry out the open requests, oldest first, at most BATCH_MAX; return how many.

        An outage of Valkey or PostgreSQL propagates. The requests stay open for the next call.
        """
        requests = await self._store.operator_requests(BATCH_MAX)
        for request in requests:
            if request.kind == "UNLOCK":
                await self._unlock(request)
            else:
                await self._end_sessions(request)
        return len(requests)

    async def _unlock(self, request: OperatorRequest) -> None:
        """Forget the tries before the event says so."""
        user = await self._store.user(request.customer_id)
        if user is None:
            return  # its foreign key excludes that
        devices = await self._store.device_ids(request.customer_id)
        counters = await self._tries.unlock(user.email_index, devices)
        origin, operator = _origin(request), _operator(request)
        event = events_out.login_unlocked(origin, request.customer_id, operator)
        if await self._store.answer_unlock(request, event, origin.time, counters):
            _log(request, counters)

    async def _end_sessions(self, request: OperatorRequest) -> None:
        """End the rows, then their tokens; the reconciliation of upkeep.py repeats the second."""
        ending = Ending(
            customer_id=request.customer_id,
            cause=EndCause.OPERATOR,
            origin=_origin(request),
            operator=_operator(request),
        )
        ended = await self._store.answer_end_sessions(request, ending)
        if ended is None:
            return
        _log(request, len(ended))
        session_ids = [each.session_id for each in ended]
        await withdraw(self._families, self._revocations, session_ids)


def _origin(request: OperatorRequest) -> Origin:
    return Origin(str(request.request_id), "", utc_now())


def _operator(request: OperatorRequest) -> Operator:
    return Operator(request.os_user, request.note)


def _log(request: OperatorRequest, ended: int) -> None:
    log.info(
        "operator.request_carried_out",
        request_id=str(request.request_id),
        kind=request.kind,
        customer_id=str(request.customer_id),
        ended=ended,
    )
