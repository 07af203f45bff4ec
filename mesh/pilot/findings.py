"""Errors of a configuration as data, for the admin API and for `bpctl mesh`."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mesh.controlplane.ingest.faults import ConfigFault, Faults, MeshFault


@dataclass(frozen=True, slots=True)
class Finding:
    """One error. `file` is relative to the configuration's folder; "" and 0 mean no place."""

    file: str
    line: int
    problem: str

    def __str__(self) -> str:
        """Return the finding as compilers print it."""
        return f"{self.file}:{self.line}: {self.problem}" if self.file else self.problem


class Refused(ValueError):
    """A configuration has errors, so it is not used; the last good one stays in force."""

    def __init__(self, findings: list[Finding]) -> None:
        super().__init__("\n".join(str(each) for each in findings))
        self.findings = tuple(findings)


def findings_of(error: Exception, folder: Path) -> list[Finding]:
    """Return the errors of a read or a translation, with paths below `folder` made relative."""
    return [_finding(each, folder) for each in _each(error)]


def _each(error: Exception) -> Iterator[Exception]:
    if isinstance(error, Faults):
        yield from error.faults
    else:
        yield error


def _finding(fault: Exception, folder: Path) -> Finding:
    if isinstance(fault, ConfigFault):
        return Finding(_relative(fault.path, folder), fault.line, fault.problem)
    if isinstance(fault, MeshFault):
        return Finding("", 0, str(fault))
    return Finding("", 0, f"{type(fault).__name__}: {fault}")


def _relative(path: Path, folder: Path) -> str:
    try:
        return path.relative_to(folder).as_posix()
    except ValueError:
        return str(path)
