"""The edit in place that is held back because it would deny live payments, by its digest.

The window of live calls is lost when the control plane restarts, so without this file a restart
would put the edit in force. Another edit takes its place and is judged by itself.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mesh.pilot.findings import Finding
from mesh.pilot.kept_file import KeptFile, text


@dataclass(frozen=True, slots=True)
class _Edit:
    digest: str
    findings: tuple[Finding, ...]


class Held:
    """The file with the edit that is held back."""

    def __init__(self, file: Path) -> None:
        self._file = KeptFile(file, _entries, _edit, lambda each: [asdict(one) for one in each])

    def of(self, digest: str) -> tuple[Finding, ...] | None:
        """Return why the files with this digest are held back; None if they are not."""
        return next((e.findings for e in self._file.read() if e.digest == digest), None)

    def hold(self, digest: str, findings: tuple[Finding, ...]) -> None:
        """Hold these files back, also after a restart."""
        self._file.write([_Edit(digest, findings)])

    def release(self) -> None:
        """Hold nothing back; this needs no space on the disk."""
        self._file.remove()

    def reports(self) -> list[str]:
        """Return what an SRE must look at."""
        return self._file.reports()


def _entries(raw: Any) -> list[Any]:
    if not isinstance(raw, list):
        raise ValueError("it is no list")
    return raw


def _edit(raw: Any) -> _Edit:
    return _Edit(text(raw["digest"]), tuple(map(_finding, _entries(raw["findings"]))))


def _finding(raw: Any) -> Finding:
    line = raw["line"]
    if type(line) is not int:
        raise ValueError(f"line is {line!r:.40}")
    return Finding(text(raw["file"]), line, text(raw["problem"]))
