"""Opens the circuit breaker of a partner and watches it, by calls and by the sidecar's counters.

Envoy counts failures in a worker, ejects in its main thread and tells the worker afterwards, up to
a second later. So a call that comes at once may still pass; nothing here depends on when it knows.
"""

import asyncio
import time

from ops.waiting import until
from tests.rigs.mesh.partner_bench import Bench
from tests.rigs.mesh.scripted_partner import HANG, ScriptedPartner, Step, Try

_OPEN = 503
_OK = 200


class Breaker:
    """The breaker of one host in one sidecar."""

    def __init__(self, bench: Bench, partner: ScriptedPartner, service: str, host: str) -> None:
        self.bench, self.service, self.host = bench, service, host
        self._path = f"/breaker/{host}"
        self.scenario = partner.scenario(self._path)

    async def call(self) -> int:
        """Make one call; the sidecar may try several times."""
        return await self.bench.call(self.service, self.host, self._path)

    async def openings(self) -> int:
        """Return how often the breaker has opened."""
        return (await self.bench.breakers(self.service, self.host))[0][0]

    async def is_open(self) -> bool:
        """Return whether the breaker is open now, as the sidecar's main thread knows it."""
        return (await self.bench.breakers(self.service, self.host))[0][1] == 1

    async def play(self, *script: Step) -> None:
        """Have the partner do all steps in a row, with as many calls as that takes.

        Fails if the breaker opens.
        """
        self.scenario.script.extend(script)
        while self.scenario.script:
            assert not await self.refuses(), f"the breaker of {self.host} is open"

    async def open_by(self, *failures: Step) -> float:
        """Fail so often in a row and wait until the breaker has opened; return when it last failed.

        The partner answers no further request before the breaker has opened, so exactly these
        failures open it. TimeoutError if they do not.
        """
        before, known = (
            await self.openings(),
            len(self.scenario.tries),
        )
        self.scenario.script.extend(failures)
        self.scenario.then = HANG

        async def opened() -> bool:
            return await self.openings() > before

        try:
            await self._fail_until(known + len(failures))
            await until(opened, 5, f"{len(failures)} failures open the breaker of {self.host}")
        finally:
            self.scenario.then = _OK
        return self.scenario.tries[known + len(failures) - 1].answered_s

    async def _fail_until(self, tries: int) -> None:
        """Call until the script has been played and the sidecar has read its last answer.

        Then the last call has ended, or its next try has arrived. Such a try is cancelled: its own
        timeout would be one failure more.
        """
        while self.scenario.script:
            calling = asyncio.create_task(self.call())

            async def answered(call: asyncio.Task[int] = calling) -> bool:
                return call.done() or len(self.scenario.tries) > tries

            try:
                await until(answered, 30, f"a call to {self.host} ends")
            finally:
                calling.cancel()
                await asyncio.gather(calling, return_exceptions=True)

    async def refuses(self) -> bool:
        """Make a call; return whether the sidecar answered it without the partner."""
        known = len(self.scenario.tries)
        return await self.call() == _OPEN and len(self.scenario.tries) == known

    async def ended(self) -> float:
        """Wait until the breaker is closed; return when it was seen to be."""

        async def closed() -> bool:
            return not await self.is_open()

        await until(closed, 30, f"the breaker of {self.host} closes")
        return time.monotonic()

    async def passed(self) -> Try:
        """Call until a call passes; return it as it arrived at the partner."""

        async def passes() -> bool:
            return await self.call() == _OK

        await until(passes, 30, f"a call passes to {self.host}")
        return self.scenario.tries[-1]
