"""Refreshed tokens: how many a second, and whether all work while the provider changes its key."""

from __future__ import annotations

import asyncio
import json
from base64 import urlsafe_b64decode
from collections.abc import Sequence

from lab.bench.bench import Bench
from lab.bench.variants.login.measured import closed_loop, note, usual_s
from sandbox.app import App
from sandbox.client import Answer

AT_ONCE = 12
SECONDS = 12.0
LEAD_S = 8.0
"""How long before its first signature the new key is published. The gateway reads the published
keys every five seconds."""
BEFORE_S = 2.0
AFTER_S = 8.0
"""How long the telephones continue after the new key begins to sign."""


async def measure(bench: Bench, apps: Sequence[App]) -> None:
    """Measure refreshes in a closed loop; each replaces the telephone's tokens."""
    seconds = usual_s(bench, SECONDS)
    note(bench, "refresh", await closed_loop(bench, "refresh", apps, _refresh, AT_ONCE, seconds))


async def change_keys(bench: Bench, apps: Sequence[App]) -> None:
    """Change the provider's signing key while telephones refresh and use each new token at once."""
    before = _key_ids(apps)
    rotating = asyncio.create_task(_rotate(apps[0]))
    name = "login.new_key"
    loop = await closed_loop(bench, name, apps, _use, AT_ONCE, BEFORE_S + LEAD_S + AFTER_S)
    await rotating
    after = _key_ids(apps)
    bench.found.figures |= {
        f"{name}.requests": loop.answers.total + loop.answers.refused.total(),
        f"{name}.refused": loop.answers.refused.total(),
    }
    if before & after:
        bench.found.void.append(f"{name}: a telephone still has a token of an old key")


async def _refresh(app: App) -> Answer:
    return await app.refresh()


async def _use(app: App) -> Answer:
    """Refresh, then read with the new token; return the first error or the last answer."""
    refreshed = await app.refresh()
    return await app.get("/v1/auth/sessions") if refreshed.status == 200 else refreshed


async def _rotate(app: App) -> None:
    await asyncio.sleep(BEFORE_S)
    answer = await app.bank.control("oauth", "POST", "/control/keys/rotate", {"lead_s": LEAD_S})
    if answer.status != 201:
        raise RuntimeError(f"the provider answered {answer.status}: {answer.text[:300]}")


def _key_ids(apps: Sequence[App]) -> set[str]:
    """Return the ids of the keys that signed the telephones' current access tokens."""
    return {key_id(app.phone.access_token) for app in apps}


def key_id(token: str) -> str:
    """Return the `kid` of a JWT."""
    header = token.partition(".")[0]
    return json.loads(urlsafe_b64decode(header + "=" * (-len(header) % 4)))["kid"]
