"""Replaces the time, the ids and the log in production's modules while a world runs.

Production imports time and ids from the kernel by name. All loaded modules of the packages below
are searched for these names, so a new module cannot be forgotten.
"""

import random
import sys
import time
import uuid
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

from services.kernel import clock, ids

_PACKAGES = (
    "services.payments",
    "services.transfers",
    "services.customers",
    "services.relay",
    "services.router",
    "services.chassis",
    "sandbox.partners.webhooks",
)


class Silent:
    """A logger that discards everything."""

    def __getattr__(self, _name: str) -> Callable[..., None]:
        return lambda *_args, **_facts: None


def _replacements(time_: object, now: object, new_id: object, luck: object) -> dict[int, object]:
    return {id(time): time_, id(clock.utc_now): now, id(ids.new_id): new_id, id(random): luck}


@contextmanager
def stand_ins(
    wall_s: Callable[[], float],
    monotonic_s: Callable[[], float],
    now: Callable[[], Any],
    new_id: Callable[[int | None], uuid.UUID],
    seed: int,
) -> Generator[None]:
    """Give production the world's time, ids and random numbers inside the context."""
    time_ = SimpleNamespace(time=wall_s, monotonic=monotonic_s)
    replaced = _replacements(time_, now, new_id, random.Random(seed))
    done: list[tuple[Any, str, Any]] = []
    try:
        for name, module in sorted(sys.modules.items()):
            if not name.startswith(_PACKAGES):
                continue
            for attribute, value in list(vars(module).items()):
                stand_in = replaced.get(id(value))
                if attribute == "log" and hasattr(value, "bind"):
                    stand_in = Silent()
                if stand_in is not None:
                    done.append((module, attribute, value))
                    setattr(module, attribute, stand_in)
        yield
    finally:
        for module, attribute, value in done:
            setattr(module, attribute, value)
