"""Durations as operators write them: 500ms, 2s, 1m, 1h. Pure."""

from __future__ import annotations

import re

import typer

_FORM = re.compile(r"(?P<number>\d{1,6})(?P<unit>ms|s|m|h)")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def seconds(text: str) -> float:
    """Return the seconds of a duration. typer.BadParameter unless it is more than 0."""
    found = _FORM.fullmatch(text)
    if found is None or not int(found["number"]):
        raise typer.BadParameter(f"{text!r} is no duration; write 500ms, 30s, 2m or 1h")
    return int(found["number"]) * _UNITS[found["unit"]]
