"""Errors in the mesh's configuration; they name the file and the line where they can."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path


class MeshFault(ValueError):
    """The configuration is inconsistent; the message names the fault and the remedy."""


class Absent(MeshFault):
    """Something that is needed is absent; perhaps it exists but has an error."""


class ConfigFault(ValueError):
    """A configuration file has an error: correct the line that it names, or remove the field."""

    def __init__(self, path: Path, line: int, problem: str, *, absent: bool = False) -> None:
        super().__init__(f"{path}:{line}: {problem}")
        self.path = path
        self.line = line
        self.problem = problem
        self.absent = absent
        """Whether the error says that something else is absent, as Absent does."""


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
        """False if an error ended a step early: its rest might have read the unread fields."""

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

    def followed_by(self, later: "Findings") -> "Findings":
        """Return the errors of both, without those of `later` that these may have caused."""
        both = Findings()
        kept = [e for e in later._faults if self.complete or not _absent(e)]
        both._faults = [*self._faults, *kept]
        both.complete = self.complete and later.complete
        return both

    def end(self) -> None:
        """Raise the only error as it is, or several as Faults; return if there is none."""
        unique = {str(each): each for each in self._faults}
        ordered = sorted(unique.values(), key=_place)
        if len(ordered) == 1:
            raise ordered[0]
        if ordered:
            raise Faults(ordered)


def _absent(fault: Fault) -> bool:
    return fault.absent if isinstance(fault, ConfigFault) else isinstance(fault, Absent)


def _place(fault: Fault) -> tuple[str, int, str]:
    if isinstance(fault, ConfigFault):
        return str(fault.path), fault.line, fault.problem
    # "~" is after every other character of a path.
    return "~", 0, str(fault)
