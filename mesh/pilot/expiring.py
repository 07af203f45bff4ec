"""Texts of the configuration that are in force for a limited time, such as an injected fault.

The control plane itself removes them, so it does not matter whether the command that added them
still runs. `expiring.json` is written before the text is applied and survives a restart. Only the
added text is removed: edits that others made meanwhile stay.
"""

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mesh.pilot.config_folder import Content
from mesh.pilot.kept_file import KeptFile, text

SECONDS_MAX = 24 * 3600.0


class UnknownExpiry(LookupError):
    """Nothing with this name is in force for a limited time; `bpctl mesh inject list` lists it."""


@dataclass(frozen=True, slots=True)
class Added:
    """A text that was inserted into a file."""

    file: str
    text: str


@dataclass(frozen=True, slots=True)
class Expiry:
    """What is in force until a time. `name` is unique, `until_s` is in seconds since the epoch."""

    name: str
    until_s: float
    who: str
    why: str
    added: tuple[Added, ...]


class Expiring:
    """The file with everything that expires."""

    def __init__(self, file: Path) -> None:
        self._file = KeptFile(file, _entries, _expiry, lambda each: [asdict(one) for one in each])

    def all(self) -> list[Expiry]:
        """Return what expires, the earliest first. What cannot be read is set aside."""
        return sorted(self._file.read(), key=lambda each: each.until_s)

    def reports(self) -> list[str]:
        """Return what an SRE must look at: a text of a lost entry stays in force."""
        return self._file.reports()

    def get(self, name: str) -> Expiry:
        """Return one by its name; raises UnknownExpiry."""
        found = next((each for each in self.all() if each.name == name), None)
        if found is None:
            known = ", ".join(each.name for each in self.all()) or "none"
            raise UnknownExpiry(f"{name} is not in force for a limited time; there are: {known}")
        return found

    def add(self, expiry: Expiry) -> None:
        """Note that something expires. Raises ValueError if its name is taken."""
        if any(each.name == expiry.name for each in self.all()):
            raise ValueError(f"{expiry.name} is already in force; stop it first")
        self._file.write([*self.all(), expiry])

    def drop(self, name: str) -> None:
        """Forget an entry: the first one, if the file was edited by hand and has two."""
        every = self.all()
        first = next((each for each in every if each.name == name), None)
        self._file.write(each for each in every if each is not first)


def _entries(raw: Any) -> list[Any]:
    if not isinstance(raw, list):
        raise ValueError("it is no list")
    return raw


def _expiry(raw: Any) -> Expiry:
    until_s = raw["until_s"]
    if isinstance(until_s, bool) or not isinstance(until_s, int | float):
        raise ValueError(f"until_s is {until_s!r:.40}")
    if not math.isfinite(until_s):
        raise ValueError("until_s is not finite")
    added = tuple(Added(text(each["file"]), text(each["text"])) for each in _entries(raw["added"]))
    return Expiry(text(raw["name"]), float(until_s), text(raw["who"]), text(raw["why"]), added)


def without(content: Content, added: Iterable[Added]) -> dict[str, bytes]:
    """Return the files without the added texts. A text that was edited or removed stays as it is:
    its editor decided about it."""
    made = dict(content)
    for each in added:
        if each.file in made:
            made[each.file] = made[each.file].replace(each.text.encode(), b"", 1)
    return made
