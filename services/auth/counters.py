"""The counters of tries, text messages and face checks in Valkey; each step is one atomic script.

The rules and keys are in throttle.py and charges.py. Time is Valkey's own, so two processes whose
clocks differ agree about a lock. Errors of Valkey propagate: without counters, auth checks no
factor.
"""

import math
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson
import structlog
from redis.asyncio import Redis

from services.auth.charges import (
    FACE_CHECKS_OF_DAY_MAX,
    RESETS_KEY,
    WINDOW_S,
    FaceCheck,
    Recipient,
    SendLimits,
    face_key,
    send_limits_of,
)
from services.auth.errors import OtpSendsExhausted, TriesExhausted
from services.auth.scripts import load_script
from services.auth.settings import AuthSettings
from services.auth.state import Factor
from services.auth.throttle import (
    FORGET_S,
    RULES,
    Counter,
    Lock,
    Rule,
    Scope,
    Subject,
    WrongTry,
    counters_of,
    counters_of_account,
    counters_of_reset,
)
from services.chassis.unreachable import UNREACHABLE

ALARM_SHARE = 0.7
"""The part of the day's codes for resets at which auth logs an error."""

log = structlog.get_logger()


class Tries:
    """Limits the tries of factors across sessions, devices and addresses."""

    def __init__(
        self, valkey: Redis, digest_key: bytes, rules: Mapping[Scope, Rule] = RULES
    ) -> None:
        """`digest_key` has 32 bytes and hides accounts and addresses in the names of the keys."""
        self._valkey = valkey
        self._digest_key = digest_key
        self._rules = rules
        self._script = load_script(valkey, "tries")

    async def admit(self, subject: Subject, factor: Factor) -> None:
        """Reserve a try before the check; then call `wrong`, `right`, `undo` or `hang_up`.

        A try without one of them counts as wrong, also one that Valkey received while it hung and
        for which this call failed. Raise TriesExhausted while a lock lasts.
        """
        wait_ms = await self._step("admit", subject, factor)
        if wait_ms > 0:
            raise TriesExhausted(retry_after_s=_seconds(wait_ms))

    async def wrong(self, subject: Subject, factor: Factor) -> WrongTry:
        """Report that the reserved try was wrong.

        Each lock is returned once. When two begin together, the next wrong try gets the second.
        """
        number, lock_ms, refused = await self._step("wrong", subject, factor)
        if number == 0:
            return WrongTry(None, refused)
        scope = counters_of(self._digest_key, subject, factor)[number - 1].scope
        reported = Scope.ADDRESS if scope is Scope.SITE else scope
        return WrongTry(Lock(reported, _seconds(lock_ms)), refused)

    async def unrecorded(self, subject: Subject, factor: Factor, report: WrongTry) -> None:
        """Take a report back that could not be recorded; the next wrong try gets it.

        The try itself stays counted.
        """
        counters = counters_of(self._digest_key, subject, factor)
        scopes = [counter.scope for counter in counters]
        lock = report.lock
        taken_back = {
            "locked": 0 if lock is None else scopes.index(lock.scope) + 1,
            "lock_ms": 0 if lock is None else lock.lock_s * 1000,
            "refused": report.refused_before,
        }
        await self._run("unrecorded", counters, report=taken_back)

    async def right(self, subject: Subject, factor: Factor) -> None:
        """Report that the reserved try was right: forget the subject's wrong tries.

        The address only gets this try back, so a customer cannot clear it with their own account.
        The report is repeated once if Valkey does not answer, because an app that repeats its call
        with the same code reports nothing. Valkey executes it once, unless the subject makes
        another try between the two reports.
        """
        try:
            await self._step("right", subject, factor)
        except UNREACHABLE:
            await self._step("right_again", subject, factor)

    async def undo(self, subject: Subject, factor: Factor) -> None:
        """Remove the reserved try, because the bank could not check the factor."""
        await self._step("undo", subject, factor)

    async def hang_up(self, subject: Subject, factor: Factor) -> None:
        """Remove the reserved try of a stranger who left before the answer from the account.

        The address keeps it, and so do a known device and a session. Otherwise a caller that hangs
        up would fill the queue of passwords with no limit.
        """
        if subject.device_id is None and subject.session_id is None:
            await self._step("hang_up", subject, factor)

    async def admit_reset(self, device_id: uuid.UUID | None, address: str) -> None:
        """Count a reset that begins; raise TriesExhausted while a lock lasts.

        A known device counts for itself, and other callers count for their address (`network_of`).
        """
        counters = counters_of_reset(self._digest_key, device_id, address)
        wait_ms = await self._run("admit", counters) if counters else 0
        if wait_ms > 0:
            raise TriesExhausted(retry_after_s=_seconds(wait_ms))

    async def unlock(self, account: bytes, device_ids: Iterable[uuid.UUID]) -> int:
        """Forget the tries of all factors of an account, and return how many counters there were.

        Addresses stay locked, because they also tried other accounts.
        """
        counters = counters_of_account(self._digest_key, account, device_ids)
        return await self._valkey.delete(*(counter.key for counter in counters))

    async def _step(self, step: str, subject: Subject, factor: Factor) -> Any:
        return await self._run(step, counters_of(self._digest_key, subject, factor))

    async def _run(
        self, step: str, counters: Sequence[Counter], *, report: Mapping[str, int] | None = None
    ) -> Any:
        rules = [self._rules[counter.scope] for counter in counters]
        asked = {"step": step, "rules": rules, "forget_ms": FORGET_S * 1000, "report": report}
        keys = [counter.key for counter in counters]
        return await self._script(keys=keys, args=[orjson.dumps(asked)])


class Sends:
    """Limits the codes that are sent to one number, to all numbers with one prefix, and for all
    resets that strangers begin."""

    def __init__(self, valkey: Redis, settings: AuthSettings) -> None:
        self._limits = SendLimits(
            number=settings.otp_sends_per_number_max,
            known=settings.otp_known_sends_per_number_max,
            prefix=settings.otp_sends_per_prefix_max,
            known_prefix=settings.otp_known_sends_per_prefix_max,
            resets=settings.otp_stranger_resets_max,
        )
        self._windows = _Windows(valkey)

    async def admit(self, to: Recipient) -> None:
        """Count a message before it is sent. Raise OtpSendsExhausted when a limit is reached."""
        limits = send_limits_of(to, self._limits)
        wait_ms, counts = await self._windows.admit(limits)
        if wait_ms > 0:
            raise OtpSendsExhausted(retry_after_s=_seconds(wait_ms))
        if counts.get(RESETS_KEY) == math.ceil(ALARM_SHARE * self._limits.resets):
            log.error("sends.many_resets", sent=counts[RESETS_KEY], sent_max=self._limits.resets)

    async def give_back(self, to: Recipient) -> None:
        """Take a message off the counters, because the gateway did not accept it.

        Otherwise an outage of the gateway would use up the codes of the day.
        """
        await self._windows.give_back(send_limits_of(to, self._limits))


class FaceChecks:
    """Limits the pictures and liveness checks of one customer and day, because AWS charges."""

    def __init__(self, valkey: Redis) -> None:
        self._windows = _Windows(valkey)

    async def admit(self, check: FaceCheck) -> None:
        """Count a check before AWS gets it. Raise TriesExhausted when the limit is reached."""
        limits = {face_key(check): FACE_CHECKS_OF_DAY_MAX[check.kind]}
        wait_ms, _ = await self._windows.admit(limits)
        if wait_ms > 0:
            raise TriesExhausted(retry_after_s=_seconds(wait_ms))

    async def give_back(self, check: FaceCheck) -> None:
        """Take a check off its counter, because AWS did not make it."""
        await self._windows.give_back([face_key(check)])


class _Windows:
    """Counters of fixed windows of a day."""

    def __init__(self, valkey: Redis) -> None:
        self._script = load_script(valkey, "send")
        self._give_back = load_script(valkey, "give_back_send")

    async def admit(self, limits: Mapping[str, int]) -> tuple[int, dict[str, int]]:
        """Count at all keys; return 0 and the new counts, or the ms to wait and no counts."""
        keys = [*limits]
        wait_ms, *counts = await self._script(keys=keys, args=[WINDOW_S * 1000, *limits.values()])
        return wait_ms, dict(zip(keys, counts, strict=False))

    async def give_back(self, keys: Iterable[str]) -> None:
        """Take one off each counter that exists."""
        await self._give_back(keys=[*keys])


def _seconds(ms: int) -> int:
    """Return whole seconds, rounded up, so that a caller does not come back too early."""
    return -(-ms // 1000)
