"""Texts of the configuration that are in force for a limited time, such as an injected fault.

The control plane itself removes them, so it does not matter whether the command that added them
still runs. `expiring.json` is written before the text is applied and survives a restart. Only the
added text is removed: edits that others made meanwhile stay.
"""

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mesh.pilot.config_folder import Content

SECONDS_MAX = 24 * 3600.0
_MODE = 0o600


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
        self._file = file

    def all(self) -> list[Expiry]:
        """Return what expires, the earliest first. A file that is no JSON counts as empty."""
        try:
            found: list[dict[str, Any]] = json.loads(self._file.read_bytes())
        except (FileNotFoundError, ValueError):
            return []
        made = [
            Expiry(**each, added=tuple(Added(**one) for one in added))
            for each in found
            for added in [each.pop("added")]
        ]
        return sorted(made, key=lambda each: each.until_s)

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
        self._write([*self.all(), expiry])

    def drop(self, name: str) -> None:
        """Forget an entry."""
        self._write(each for each in self.all() if each.name != name)

    def _write(self, entries: Iterable[Expiry]) -> None:
        self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = self._file.with_name(f".{self._file.name}.draft")
        text = json.dumps([asdict(each) for each in entries], indent=1) + "\n"
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        with os.fdopen(os.open(draft, flags, _MODE), "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._file)


def without(content: Content, added: Iterable[Added]) -> dict[str, bytes]:
    """Return the files without the added texts. A text that was edited or removed stays as it is:
    its editor decided about it."""
    made = dict(content)
    for each in added:
        if each.file in made:
            made[each.file] = made[each.file].replace(each.text.encode(), b"", 1)
    return made
