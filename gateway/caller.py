"""The Lua source of the filter that prepares the caller's identity, from caller.lua."""

from collections.abc import Mapping
from pathlib import Path

from gateway.request_check import literal

_CODE = Path(__file__).with_suffix(".lua")


def source(partners: Mapping[str, str]) -> str:
    """Return the filter's whole source; `partners` has the name for each SPIFFE id."""
    return f"local PARTNERS = {literal(dict(partners))}\n{_CODE.read_text()}"
