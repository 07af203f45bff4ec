"""The Lua scripts of this service: Valkey runs each of them alone, so its steps cannot be split."""

from pathlib import Path

from redis.asyncio import Redis
from redis.commands.core import AsyncScript

_FOLDER = Path(__file__).parent / "lua"


def load_script(valkey: Redis, name: str) -> AsyncScript:
    """Return the script of `lua/<name>.lua`; Valkey gets its text when it does not know it."""
    return valkey.register_script((_FOLDER / f"{name}.lua").read_text(encoding="utf-8"))
