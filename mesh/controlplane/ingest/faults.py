"""Errors in the mesh's configuration; they name the file and the line where they can."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

ANY_KIND = "*"
"""Stands for the unknown kind of a resource when its file could not be read."""


class MeshFault(ValueError):
    """The configuration is inconsistent; the message names the fault and the remedy."""

    absent: str | None = None
    """The kind of the absent resource, if that is the error. It may exist but have an error."""


class Absent(MeshFault):
    """A resource that is needed is absent, or exists but has an error."""

    def __init__(self, problem: str, kind: str) -> None:
        super().__init__(problem)
        self.absent = kind


class ConfigFault(ValueError):
    """A configuration file has an error: correct the line that it names, or remove the field."""

    def __init__(self, path: Path, line: int, problem: str, *, absent: str | None = None) -> None:
        super().__init__(f"{path}:{line}: {problem}")
        self.path = path
        self.line = line
        self.problem = problem
        self.absent = absent
        """The kind of the resource that is absent, as for Absent."""


Fault = MeshFault | ConfigFault


class Faults(ValueError):
    """Several errors, one on each line: those with a place first, by file and line."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("\n".join(str(each) for each in faults))
        self.faults = tuple(faults)


class Findings:
    """Collects errors, so that one run reports all of them."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self.complete = True
        """False if an error ended a step early: it might have read the unread fields later."""
        self.lost: set[str] = set()
        """The kinds of the resources that could not be read."""

    def add(self, fault: Fault) -> None:
        """Note an error after which the step continues."""
        self._faults.append(fault)

    @contextmanager
    def noted(self) -> Generator[None]:
        """Note the error that ends this step; the next step continues."""
        try:
            yield
        except (ConfigFault, MeshFault) as fault:
            self.complete = False
            self.add(fault)
        except Faults as several:
            self.complete = False
            self._faults.extend(several.faults)

    @contextmanager
    def reading(self, kind: str) -> Generator[None]:
        """Note the error that makes a resource of this kind, or of any kind, unreadable."""
        before = len(self._faults)
        with self.noted():
            yield
        if len(self._faults) > before:
            self.lost.add(kind)

    def may_lack(self, kind: str) -> bool:
        """Return whether a resource of this kind could not be read, so that it seems absent."""
        return bool(self.lost & {kind, ANY_KIND})

    def extend(self, others: "Findings") -> None:
        """Add the errors of another part of the same step."""
        self._faults += others._faults
        self.complete = self.complete and others.complete
        self.lost |= others.lost

    def followed_by(self, later: "Findings") -> "Findings":
        """Return the errors of both; omit errors of `later` that earlier ones may have caused."""
        both = Findings()
        kept = [e for e in later._faults if e.absent is None or not self.may_lack(e.absent)]
        both._faults = [*self._faults, *kept]
        both.complete = self.complete and later.complete
        both.lost = self.lost | later.lost
        return both

    def end(self) -> None:
        """Raise the only error as it is, or several as Faults; return if there is none."""
        unique = {str(each): each for each in self._faults}
        ordered = sorted(unique.values(), key=_place)
        if len(ordered) == 1:
            raise ordered[0]
        if ordered:
            raise Faults(ordered)


def _place(fault: Fault) -> tuple[str, int, str]:
    if isinstance(fault, ConfigFault):
        return str(fault.path), fault.line, fault.problem
    # "~" is after every other character of a path.
    return "~", 0, str(fault)
