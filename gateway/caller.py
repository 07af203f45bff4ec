"""The Lua source of the filter that prepares the caller's identity, from caller.lua."""

from pathlib import Path

_CODE = Path(__file__).with_suffix(".lua")


def source() -> str:
    """Return the filter's whole source."""
    return _CODE.read_text()
