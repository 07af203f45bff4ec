"""YAML documents with the line of every value, so that an error can name the line.

Parses only YAML and does not know Istio's kinds. Duplicate keys are rejected, because YAML would
silently keep only the last one.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from yaml.constructor import ConstructorError
from yaml.nodes import MappingNode, Node, SequenceNode

from mesh.controlplane.ingest.faults import ConfigFault, Findings

Place = tuple[str | int, ...]


@dataclass(frozen=True)
class Document:
    """One YAML document: its value, and the line (from 1) on which each part of it begins."""

    path: Path
    value: Any
    lines: dict[Place, int]

    def line_of(self, place: Place) -> int:
        """Return the line of a place, or of the nearest enclosing value that has one."""
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines.get(place, 1)

    def fault(self, place: Place, problem: str, *, absent: bool = False) -> ConfigFault:
        """Return the error for a place in this document."""
        return ConfigFault(self.path, self.line_of(place), problem, absent=absent)


def read_folder(folder: Path, findings: Findings | None = None) -> list[Document]:
    """Read every *.yaml file under a folder, in the order of the paths.

    Notes the errors of all files in `findings`; without `findings`, raises them.
    """
    noted = Findings() if findings is None else findings
    found: list[Document] = []
    for path in sorted(folder.rglob("*.yaml")):
        with noted.noted():
            found.extend(read_file(path))
    if findings is None:
        noted.end()
    return found


def read_file(path: Path) -> Iterator[Document]:
    """Read the documents of one file, without empty ones."""
    loader = yaml.SafeLoader(path.read_text())
    try:
        while loader.check_node():
            node = loader.get_node()
            if node is None:
                continue
            lines: dict[Place, int] = {}
            _note_lines(path, node, (), lines)
            value = loader.construct_document(node)
            if value is not None:
                yield Document(path, value, lines)
    except (yaml.MarkedYAMLError, ConstructorError) as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigFault(path, line, str(error.problem)) from error
    finally:
        loader.dispose()


def _note_lines(
    path: Path, node: Node, place: Place, lines: dict[Place, int], within: tuple[Node, ...] = ()
) -> None:
    lines.setdefault(place, node.start_mark.line + 1)
    if any(node is one for one in within):
        raise ConfigFault(path, node.start_mark.line + 1, "an alias contains itself; remove it")
    within = (*within, node)
    if isinstance(node, MappingNode):
        for key, value in node.value:
            inner = (*place, str(key.value))
            if inner in lines:
                raise ConfigFault(
                    path, key.start_mark.line + 1, f"{key.value} appears twice; remove one"
                )
            lines[inner] = key.start_mark.line + 1
            _note_lines(path, value, inner, lines, within)
    elif isinstance(node, SequenceNode):
        for index, value in enumerate(node.value):
            _note_lines(path, value, (*place, index), lines, within)
