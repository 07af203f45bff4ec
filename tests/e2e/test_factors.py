"""Authenticator apps, recovery codes and device keys: set up, used once, removed."""

import asyncio
import xml.etree.ElementTree as ET
from dataclasses import replace

import pyotp
import pytest

from ops.waiting import until
from sandbox.app import App
from sandbox.phone import Flags, SoftwareKey
from tests.rigs.logins import (
    another,
    asked,
    claims,
    delete,
    pushed,
    require_done,
    require_refused,
)
from tests.rigs.running_bank import Answer, Bank, Customer

pytestmark = pytest.mark.judged_with_its_module

ORIGIN = "https://app.bp.example"


class Authenticator:
    """An authenticator app on Ana's telephone, with the recovery codes that she wrote down."""

    def __init__(self, app: App, generator: pyotp.TOTP) -> None:
        self.app = app
        self.generator = generator
        self.recovery_codes: list[str] = []

    async def unused(self) -> str:
        """Return a code of a time step that the bank has not seen: of the next step, which the
        bank accepts because clocks may differ."""
        last = self.generator.now()

        async def newer() -> str | None:
            code = self.generator.at(_now(self.generator), 1)
            return code if code != last else None

        return await until(newer, 90, "a time step with another code")

    async def log_in(self, otp: str, method: str = "TOTP") -> Answer:
        """Log in with a code of this app; return the answer to the code."""
        started = require_done(await self.app.login())
        return await self.app.verify_otp(started.body["sessionId"], otp, method=method)


def _now(generator: pyotp.TOTP) -> int:
    import time

    return int(time.time())
