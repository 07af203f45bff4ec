"""Errors in the mesh's configuration; they name the file and the line where they can."""

from pathlib import Path


class MeshFault(ValueError):
    """The configuration is inconsistent; the message names the fault and the remedy."""


class ConfigFault(ValueError):
    """A configuration file has an error: correct the line that it names, or remove the field."""

    def __init__(self, path: Path, line: int, problem: str) -> None:
        super().__init__(f"{path}:{line}: {problem}")
        self.path = path
        self.line = line
        self.problem = problem
