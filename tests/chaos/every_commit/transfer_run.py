"""One transfer of a case: it is driven to its step, hit by a fault there, and followed to its end.

A run repeats each request or notice that a real client or clearing house would repeat. It ends
leases early in the database. Every wait is for a visible condition, so none depends on the speed of
the host.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import asyncpg

from ops.waiting import scaled_s, until
from services.kernel.ids import shard_of
from services.payments.state import PENDING
from tests.chaos.every_commit.gate import Gate, Hold, Watch
from tests.chaos.every_commit.notices import notice, was_heard
from tests.chaos.every_commit.payments_that_stops import QUERY, RECALL, SUBMIT
from tests.chaos.every_commit.rows import HANG, STEPS, SWALLOW, Before, Cause, Scenario, Step
from tests.rigs.host_speed import waited_out_s
from tests.rigs.running_bank import BO, Answer, Bank, Customer

AMOUNT, OPENING = 100_00, 5_000_00
AGAIN_S = 1.5
"""How long to wait for an effect before repeating its cause."""
INTERRUPTED_S = 5.0
"""After this time no worker is busy with a transfer."""
WITHIN_S = 30.0
"""A deadline that catches a hang while forty transfers run at once."""
SILENCE_MS = 1000
"""How long the clearing house is silent after a request, before it closes the connection."""

_PENDING = [state.name for state in PENDING]
_FOLLOWING = {step.name: step.following.name for step in STEPS}

Condition = Callable[[], bool]


@dataclass
class TransferRun:
    """A transfer with its requests, answers and faults."""

    bank: Bank
    gate: Gate
    superuser: asyncpg.Pool
    step: Step
    memo: str
    customer: Customer
    opening: int = OPENING
    key: str = field(default_factory=lambda: str(uuid.uuid4()))
    answers: list[Answer] = field(default_factory=list)
    """Successful answers to the request for the transfer, in order of arrival."""
    hold: Hold | None = None
    """The hold at its step."""
    waiting: Hold | None = None
    """The hold of a worker that got a timeout and has not yet saved it."""
    _faults: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Active faults, with endpoint and kind of each."""
    _calls: set[asyncio.Task[None]] = field(default_factory=set)
    _pays: set[asyncio.Task[None]] = field(default_factory=set)
    _causes: set[asyncio.Task[None]] = field(default_factory=set)
    """Calls in flight that cause the step's event."""
    _notices: dict[str, bytes] = field(default_factory=dict)
    _heard: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Register at the gate."""
        self.watch = Watch(self._debited)
        self.gate.watches[self.memo] = self.watch

    @property
    def scenario(self) -> Scenario:
        """What the test does to reach this step."""
        return self.step.scenario

    @property
    def transfer_id(self) -> str:
        """The transfer's id; "" before the debit."""
        return self.watch.transfer_id

    @property
    def has_ended(self) -> bool:
        """Whether a commit has taken it to one of the states in which it may end.

        A worker whose question was in flight at the commit of another step continues from there. It
        may come before a fault that the test injects after that step, which then never fires.
        """
        ends = self.scenario.ends_as
        return any(_FOLLOWING[step] in ends for step, when in self.watch.made if when == "after")

    # Actions of the customer, the clearing house and the workers

    def pay(self) -> None:
        """Request the transfer. The run keeps the answer."""
        self._call(self._pay(), self._causes if self.step.row is None else self._pays)

    def ask(self, count: int) -> None:
        """Have at least `count` requests for it in flight. Only for a debit."""
        for _ in range(count - len(self._causes)):
            self.pay()

    def pay_unless_asked(self) -> None:
        """Request it again after an answer without a transfer, as a client does."""
        if not self._pays:
            self.pay()

    async def pay_until_answered(
        self, is_answer: Callable[[Answer], bool] = lambda answer: answer.status == 200
    ) -> Answer:
        """Retry with the same key until there is an answer about the transfer itself."""
        async with asyncio.timeout(scaled_s(WITHIN_S)):
            while not is_answer(answer := await self.pay_once()):
                await asyncio.sleep(0.2)
        return answer

    def cancel(self) -> None:
        """Request its cancellation."""
        self._call(self._cancel(), self._causes)

    def tell(self, kind: str, *, again: bool = False) -> None:
        """Send a notice as the clearing house does. With `again`, it has another id."""
        self._call(self._tell(kind, again=again), self._causes)

    def cause(self) -> None:
        """Cause the step's event, unless a call in flight already causes it."""
        match self.scenario.cause:
            case Cause.DRIVER | Cause.QUERY:
                self.end_lease_soon()
            case _ if self._causes:
                pass
            case Cause.CLIENT:
                self.pay()
            case Cause.CANCEL:
                self.cancel()
            case Cause.NOTICE:
                self.tell(self.scenario.notice)

    def cause_twice(self) -> None:
        """Cause the step's event once more, although a call is in flight."""
        match self.scenario.cause:
            case Cause.CLIENT:
                self.pay()
            case Cause.CANCEL:
                self.cancel()
            case Cause.NOTICE:
                self.tell(self.scenario.notice)
                self.tell(self.scenario.notice, again=True)
            case Cause.DRIVER | Cause.QUERY:
                self._call(self.by_another(), self._calls)

    async def by_another(self) -> None:
        """End the lease, and make a worker that does not hold the transfer look for it."""
        await self.end_lease()
        held = self.hold.waiting if self.hold else []
        self.gate.have_a_look(not_by=held[0].worker if held else "")

    async def until(self, condition: Condition, again: Callable[[], None]) -> None:
        """Wait for a condition, and repeat the action that should cause it."""
        if self.scenario.is_by_worker:
            # The step needs no action. If the lease ended now, another worker would make it.
            await self.for_a_while(condition)

        async def there() -> bool:
            if not condition():
                again()
                await self.for_a_while(condition)
            return condition()

        await until(there, WITHIN_S, self.memo)

    async def until_caught(self) -> None:
        """Wait until a call is held at the step."""
        await self.until(lambda: bool(self.hold and self.hold.waiting), self.cause)

    async def for_a_while(self, condition: Condition) -> None:
        """Wait for a condition until the next repetition is due."""
        pause = time.monotonic() + AGAIN_S
        while not condition() and time.monotonic() < pause:
            await asyncio.sleep(0.02)

    async def end_lease(self) -> None:
        """End the lease, as would happen after 45 s."""
        if self.transfer_id:
            one = uuid.UUID(self.transfer_id)
            await self.superuser.execute(
                "UPDATE payments.interbank_transfer SET lease_until = now() - interval '1 second'"
                " WHERE shard = $1 AND transfer_id = $2 AND state = ANY($3)",
                shard_of(one),
                one,
                [*_PENDING, "SUBMITTED"] if self.scenario.cause is Cause.QUERY else _PENDING,
            )

    async def submit_late(self) -> Answer:
        """Submit it to the clearing house directly, like a request that the network delayed."""
        await self.clear_faults(SUBMIT)
        return await self.bank.submit_to_ach(
            self.transfer_id,
            AMOUNT,
            account=self.scenario.account,
            addenda=self.memo,
            callbackReference=self.transfer_id,
        )

    # Faults

    async def fault(self, kind: str, endpoint: str, **match: str) -> str:
        """Inject a fault of the clearing house for this transfer only."""
        # The request must arrive, so the clearing house ends the silence, not the bank.
        params = {"ms": SILENCE_MS} if kind == SWALLOW else {}
        if kind == HANG:
            self.watch.silent[endpoint] += 1
        one = await self.bank.fault("ach", kind=kind, endpoint=endpoint, match=match, params=params)
        self._faults[one] = (endpoint, kind)
        return one

    async def clear_faults(self, endpoint: str = "") -> None:
        """Remove its faults: all, or those of one endpoint."""
        for one in [one for one, (at, _) in self._faults.items() if endpoint in ("", at)]:
            await self.clear_fault(one)

    async def clear_fault(self, fault: str) -> None:
        """Remove one fault."""
        await self.bank.control("ach", "DELETE", f"/control/faults/{fault}")
        endpoint, kind = self._faults.pop(fault, ("", ""))
        if kind == HANG:
            self.watch.silent[endpoint] -= 1

    async def fired(self, faults: list[str]) -> int:
        """Return how often the faults fired."""
        paths = [f"/control/faults/{one}" for one in faults]
        found = [await self.bank.control("ach", "GET", path) for path in paths]
        return sum(int(one.body["fired"]) for one in found)

    async def _debited(self, transfer_id: str) -> None:
        """Inject the faults that match the transfer's id before any request contains the id."""
        for endpoint, kind in ((QUERY, self.scenario.query), (RECALL, self.scenario.recall)):
            if kind:
                await self.fault(kind, endpoint, idempotencyKey=transfer_id)

    # From the debit to the step

    async def begin(self) -> None:
        """Request it, and drive it to the point before its banking days or before its step."""
        if self.scenario.submit:
            await self.fault(self.scenario.submit, SUBMIT, addenda=self.memo)
        if self.step.row is None:
            return
        if Before.WAITING in self.scenario.before:
            self.waiting = self.watch.hold("DEBITED-TIMED_OUT", "before", every=True)
        self.pay()
        await self.until(lambda: bool(self.transfer_id), self.pay_unless_asked)
        before = [*self.scenario.before, Before.DAYS]
        for part in before[: before.index(Before.DAYS)]:
            await self._pass(part)

    async def go_on(self) -> None:
        """Do the actions that follow the banking days."""
        before = self.scenario.before
        if self.scenario.days:
            for part in before[before.index(Before.DAYS) + 1 :]:
                await self._pass(part)

    async def _pass(self, part: Before) -> None:
        match part:
            case Before.SUBMITTED:
                await self.until_state("SUBMITTED")
            case Before.UNKNOWN:
                await self.until_state("OUTCOME_UNKNOWN")
            case Before.WAITING:
                hold = self.waiting
                await self.until(lambda: bool(hold and hold.caught), lambda: None)
            case Before.CANCEL:
                made = self.watch.made
                step = ("SUBMITTED-CANCEL_ASKED", "after")
                await self.until(lambda: made[step] > 0, self.cancel)
            case Before.GONE:
                recalled = await self.bank.recall_at_ach(self.transfer_id)
                assert recalled.status == 200, recalled.body
            case Before.COMPLETED:
                self.tell("completed")
                await self.until_state("COMPLETED")
            case Before.DAYS:
                raise ValueError("banking days pass for all at once")

    def end_lease_soon(self) -> None:
        """End the lease in the background."""
        self._call(self.end_lease(), self._calls)

    async def state(self) -> str:
        """Return its state in the database; "" before the debit."""
        if not self.transfer_id:
            return ""
        one = uuid.UUID(self.transfer_id)
        sql = "SELECT state FROM payments.interbank_transfer WHERE shard = $1 AND transfer_id = $2"
        return await self.superuser.fetchval(sql, shard_of(one), one) or ""

    async def until_state(self, *states: str) -> None:
        """Wait for a state. The lease of an interrupted transfer is ended early."""
        interrupted = time.monotonic() + waited_out_s(INTERRUPTED_S)

        async def there() -> bool:
            if await self.state() in states:
                return True
            if time.monotonic() > interrupted:
                await self.end_lease()
            await asyncio.sleep(0.3)
            return False

        await until(there, WITHIN_S, f"{self.memo} is one of {states}")

    # The end

    async def end(self) -> None:
        """Repeat lost requests and notices until all have arrived and the transfer has ended."""
        await self.clear_faults()
        if self.waiting is not None:
            self.waiting.release()
        if self.step.row is None:
            await self._end_of_debit()
        if self.scenario.notice:
            await self.until(lambda: self.scenario.notice in self._heard, self.cause)
        await self._until_ended()
        async with asyncio.timeout(scaled_s(WITHIN_S)):
            await asyncio.gather(*self._calls, *self._pays, *self._causes)

    async def _end_of_debit(self) -> None:
        """Get the first answer again. A failed transfer has none, because its key is free."""
        if self.transfer_id:
            await self._until_ended()
        if await self.state() != "FAILED":
            answer = await self.pay_until_answered()
            self.watch.transfer_id = self.transfer_id or answer.body["transferId"]
            self.answers.append(answer)

    async def _until_ended(self) -> None:
        async def ended() -> bool:
            if await self.state() in self.scenario.ends_as:
                return True
            if self.scenario.cause is Cause.CANCEL and not self._causes:
                self.cancel()
            await self.end_lease()
            await asyncio.sleep(0.3)
            return False

        await until(ended, WITHIN_S, f"{self.memo} ends as one of {sorted(self.scenario.ends_as)}")

    # Calls

    def _call(self, call: Awaitable[None], calls: set[asyncio.Task[None]]) -> None:
        task = asyncio.ensure_future(call)
        calls.add(task)
        task.add_done_callback(calls.discard)

    async def _pay(self) -> None:
        answer = await self.pay_once()
        if answer.status == 200:
            self.answers.append(answer)

    async def pay_once(self) -> Answer:
        """Request the transfer once, and return any answer."""
        body = {
            "accountId": str(self.customer.account_id),
            "amount": {"currencyCode": "USD", "minorUnits": str(AMOUNT)},
            "beneficiary": BO | {"accountNumber": self.scenario.account},
            "memo": self.memo,
        }
        path, headers = "/v1/transfers/interbank", {"Idempotency-Key": self.key}
        return await self._call_as_customer(path, body, headers)

    async def _call_as_customer(
        self, path: str, body: Mapping[str, Any], headers: dict[str, str] | None = None
    ) -> Answer:
        """Call the bank, and repeat the call with a new token if the token has expired.

        The test opens all runs together, and the last ones may begin after the life of a token.
        """
        answer = await self.bank.call("POST", path, self.customer.token, body, headers)
        if answer.status == 401:
            token = await self.bank.token(self.customer.customer_id)
            self.customer = replace(self.customer, token=token)
            answer = await self.bank.call("POST", path, self.customer.token, body, headers)
        return answer

    async def _cancel(self) -> None:
        path = f"/v1/transfers/interbank/{self.transfer_id}:cancel"
        await self._call_as_customer(path, {})

    async def _tell(self, kind: str, *, again: bool) -> None:
        body = self._notices.get(kind)
        if body is None or again:
            body = notice(await self.bank.at_ach(self.transfer_id), self.transfer_id, kind)
            self._notices.setdefault(kind, body)
        if await was_heard(self.bank, body):
            self._heard.add(kind)
