"""What is wrong with the mesh's configuration, said with file and line."""

from pathlib import Path


class MeshFault(ValueError):
    """The configuration does not hold together; the message says what is missing where."""


class ConfigFault(ValueError):
    """A configuration file cannot be honoured: correct the line it names, or drop the field."""

    def __init__(self, path: Path, line: int, problem: str) -> None:
        super().__init__(f"{path}:{line}: {problem}")
        self.path = path
        self.line = line
        self.problem = problem
