"""The counters of tries and of text messages in Valkey; each step is one atomic script.

The rules and keys are in throttle.py. Time is Valkey's own, so two processes whose clocks differ
agree about a lock. Errors of Valkey propagate: without counters, auth checks no factor.
"""

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import astuple
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

from services.auth.errors import OtpSendsExhausted, TriesExhausted
from services.auth.scripts import load_script
from services.auth.settings import AuthSettings
from services.auth.state import Factor
from services.auth.throttle import (
    FORGET_S,
    RULES,
    SENDS_WINDOW_S,
    Lock,
    Recipient,
    Rule,
    Scope,
    Subject,
    WrongTry,
    counters_of,
    counters_of_account,
    number_key,
    prefix_key,
)

LUA = Path(__file__).with_name("lua")


class Tries:
    """Limits the tries of factors across sessions, devices and addresses."""

    def __init__(
        self, valkey: Redis, digest_key: bytes, rules: Mapping[Scope, Rule] = RULES
    ) -> None:
        """`digest_key` has 32 bytes and hides accounts and addresses in the names of the keys."""
        self._valkey = valkey
        self._digest_key = digest_key
        self._rules = rules
        self._script = valkey.register_script((LUA / "tries.lua").read_text())

    async def admit(self, subject: Subject, factor: Factor) -> None:
        """Reserve a try before the check; then call `wrong`, `right`, `undo` or `hang_up`.

        A try without one of them counts as wrong. Raise TriesExhausted while a lock lasts.
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
        return WrongTry(Lock(scope, _seconds(lock_ms)), refused)

    async def right(self, subject: Subject, factor: Factor) -> None:
        """Report that the reserved try was right: forget the subject's wrong tries.

        The address only gets this try back, so a customer cannot clear it with their own account.
        """
        await self._step("right", subject, factor)

    async def undo(self, subject: Subject, factor: Factor) -> None:
        """Remove the reserved try, because the bank could not check the factor."""
        await self._step("undo", subject, factor)

    async def hang_up(self, subject: Subject, factor: Factor) -> None:
        """Remove the reserved try, because the caller left before the answer.

        The address keeps it: otherwise an address that hangs up would fill the queue of passwords
        with no limit.
        """
        await self._step("hang_up", subject, factor)

    async def unlock(self, account: bytes, device_ids: Iterable[uuid.UUID]) -> int:
        """Forget the tries of all factors of an account, and return how many counters there were.

        Addresses stay locked, because they also tried other accounts.
        """
        counters = counters_of_account(self._digest_key, account, device_ids)
        return await self._valkey.delete(*(counter.key for counter in counters))

    async def _step(self, step: str, subject: Subject, factor: Factor) -> Any:
        counters = counters_of(self._digest_key, subject, factor)
        rules = [self._rules[counter.scope] for counter in counters]
        limits = [n for rule in rules for n in astuple(rule)]
        keys = [counter.key for counter in counters]
        return await self._script(keys=keys, args=[step, FORGET_S * 1000, *limits])


class Sends:
    """Limits the codes that are sent to one number, and to all numbers with one prefix."""

    def __init__(self, valkey: Redis, settings: AuthSettings) -> None:
        self._number_max = settings.otp_sends_per_number_max
        self._prefix_max = settings.otp_sends_per_prefix_max
        self._known_prefix_max = settings.otp_known_sends_per_prefix_max
        self._script = valkey.register_script((LUA / "send.lua").read_text())
        self._give_back = load_script(valkey, "give_back_send")

    async def admit(self, to: Recipient) -> None:
        """Count a message before it is sent. Raise OtpSendsExhausted when a limit is reached."""
        prefix_max = self._known_prefix_max if to.is_known_device else self._prefix_max
        args = [SENDS_WINDOW_S * 1000, self._number_max, prefix_max]
        wait_ms = await self._script(keys=_keys(to), args=args)
        if wait_ms > 0:
            raise OtpSendsExhausted(retry_after_s=_seconds(wait_ms))

    async def give_back(self, to: Recipient) -> None:
        """Take a message off the counters, because the gateway did not accept it.

        Otherwise an outage of the gateway would use up the codes of the day.
        """
        await self._give_back(keys=_keys(to))


def _keys(to: Recipient) -> list[str]:
    return [number_key(to), prefix_key(to)]


def _seconds(ms: int) -> int:
    """Return whole seconds, rounded up, so that a caller does not come back too early."""
    return -(-ms // 1000)
