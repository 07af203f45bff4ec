"""YAML documents with the line of every value, so that an error can name the line.

Parses only YAML and does not know Istio's kinds. Duplicate keys are rejected, because YAML would
silently keep only the last one. Only types that JSON also has are read.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from yaml.reader import ReaderError

from mesh.controlplane.ingest.faults import ANY_KIND, ConfigFault, Findings

Place = tuple[str | int, ...]

_TAGS = {
    f"tag:yaml.org,2002:{each}"
    for each in ("null", "bool", "int", "float", "str", "seq", "map", "merge")
}
_VALUES_MAX = 10_000
_VALUES_OF_FEW_BYTES, _BYTES_OF_VALUE = 1_000, 4
"""A file may have so many values, and one more for so many bytes of it: each value with its line
takes some hundred bytes of memory, and aliases make many values of few bytes."""
_DEPTH_MAX = 32
_TOO_DEEP = f"values are nested more than {_DEPTH_MAX} deep; remove some levels"
_TOO_MANY = "the file has more values than its text allows, aliases included; write fewer aliases"
_SUFFIX = ".yaml"
_OTHER_NAMES = (".yml", ".json")
_BYTES_MAX = 1024 * 1024


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

    def fault(self, place: Place, problem: str, *, absent: str | None = None) -> ConfigFault:
        """Return the error for a place in this document."""
        return ConfigFault(self.path, self.line_of(place), problem, absent=absent)


def read_folder(folder: Path, findings: Findings | None = None) -> list[Document]:
    """Read every *.yaml file under a folder, in the order of the paths.

    Notes the errors of all files in `findings`; without `findings`, raises them.
    """
    noted = Findings() if findings is None else findings
    found: list[Document] = []
    for path in files_of(folder):
        with noted.reading(ANY_KIND):
            found.extend(read_file(path))
    if findings is None:
        noted.end()
    return found


def files_of(folder: Path) -> list[Path]:
    """Return the files under a folder that may be configuration, in the order of the paths."""
    return sorted(path for path in folder.rglob("*") if is_configuration(path))


def is_configuration(path: Path) -> bool:
    """Return whether a file may be configuration, by its name."""
    return path.suffix in (_SUFFIX, *_OTHER_NAMES)


def read_file(path: Path) -> Iterator[Document]:
    """Read the non-empty documents of one file. Raises only ConfigFault."""
    yield from documents_of(path, content_of(path))


def content_of(path: Path) -> bytes:
    """Return the bytes of a file. Raises ConfigFault if it cannot be read or is too large."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigFault(path, 1, f"cannot be read: {error.strerror}") from error
    return limited(path, content)


def limited(path: Path, content: bytes) -> bytes:
    """Return the content of a file. Raises ConfigFault if it is too large."""
    if len(content) > _BYTES_MAX:
        problem = f"the file has more than {_BYTES_MAX // 1024} KiB; split it"
        raise ConfigFault(path, 1, problem)
    return content


def documents_of(path: Path, content: bytes) -> Iterator[Document]:
    """Yield the non-empty documents in the content of a file. Raises only ConfigFault."""
    if path.suffix in _OTHER_NAMES:
        raise ConfigFault(path, 1, "only *.yaml files are read; rename or remove this one")
    text = _text(path, content)
    try:
        yield from _documents(path, text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigFault(path, line, str(error.problem)) from error
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ConfigFault(path, line, "a character is not allowed in YAML; remove it") from error


def _text(path: Path, content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigFault(path, line, "the text is not UTF-8; save it as UTF-8") from error


def _documents(path: Path, text: str) -> Iterator[Document]:
    loader = yaml.SafeLoader(text)
    left = _VALUES_OF_FEW_BYTES + len(text) // _BYTES_OF_VALUE
    try:
        for node in _nodes(path, loader):
            lines: dict[Place, int] = {}
            _note_lines(path, node, (), lines)
            left -= len(lines)
            if left < 0:
                raise ConfigFault(path, node.start_mark.line + 1, _TOO_MANY)
            value = _value(path, loader, node)
            if value is not None:
                yield Document(path, value, lines)
    finally:
        loader.dispose()


def _nodes(path: Path, loader: yaml.SafeLoader) -> Iterator[Node]:
    """Yield the documents' nodes. The parser is recursive, and it converts escapes unchecked."""
    try:
        while loader.check_node():
            node = loader.get_node()
            if node is not None:
                yield node
    except RecursionError as error:
        raise ConfigFault(path, loader.line + 1, _TOO_DEEP) from error
    except (ValueError, OverflowError) as error:
        problem = "an escape is not a character; correct it"
        raise ConfigFault(path, loader.line + 1, problem) from error


def _value(path: Path, loader: yaml.SafeLoader, node: Node) -> Any:
    """Construct the value; text with an explicit tag, such as `!!int x`, may be invalid."""
    try:
        return loader.construct_document(node)
    except (ValueError, LookupError, ArithmeticError) as error:
        line = node.start_mark.line + 1
        raise ConfigFault(path, line, f"a value does not fit its type: {error}") from error


def _note_lines(
    path: Path, node: Node, place: Place, lines: dict[Place, int], within: tuple[Node, ...] = ()
) -> None:
    line = node.start_mark.line + 1
    lines.setdefault(place, line)
    if problem := _problem(node, lines, within):
        raise ConfigFault(path, line, problem)
    within = (*within, node)
    if isinstance(node, MappingNode):
        for key, value in node.value:
            at = key.start_mark.line + 1
            if not isinstance(key, ScalarNode) or key.tag not in _TAGS:
                raise ConfigFault(path, at, "a key must be a string")
            inner = (*place, key.value)
            if inner in lines:
                raise ConfigFault(path, at, f"{key.value} appears twice; remove one")
            lines[inner] = at
            _note_lines(path, value, inner, lines, within)
    elif isinstance(node, SequenceNode):
        for index, value in enumerate(node.value):
            _note_lines(path, value, (*place, index), lines, within)


def _problem(node: Node, lines: dict[Place, int], within: tuple[Node, ...]) -> str | None:
    if any(node is one for one in within):
        return "an alias contains itself; remove it"
    if len(within) > _DEPTH_MAX:
        return _TOO_DEEP
    if len(lines) > _VALUES_MAX:
        return f"the document has more than {_VALUES_MAX} values, aliases included; split it"
    if node.tag not in _TAGS:
        return f"{node.tag.rpartition(':')[2]} is not a JSON type; write the value in quotes"
    return None
