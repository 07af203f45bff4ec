"""Edits the text of Istio's objects at the positions of their values. Pure.

Comments and layout stay, because only the named places change. One object has one kind and one
host; the kinds are VirtualService and DestinationRule.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import yaml
from yaml.nodes import CollectionNode, MappingNode, Node, ScalarNode, SequenceNode

RULE, ROUTES = "DestinationRule", "VirtualService"
Files = dict[str, str]


class CannotEdit(ValueError):
    """The text has a form that a command cannot edit; edit the file and use `bpctl mesh apply`."""


@dataclass(frozen=True, slots=True)
class Edit:
    """Replace the characters from `begin` to `end`."""

    begin: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class Object:
    """One object in one file."""

    file: str
    text: str
    node: MappingNode

    @property
    def spec(self) -> MappingNode:
        """The spec."""
        return mapping(self.node, "spec", self.file)

    @property
    def value(self) -> dict[str, Any]:
        """The whole object as values."""
        return value_of(self.node)

    @property
    def host(self) -> str:
        """The host that the object is for."""
        spec = self.value.get("spec") or {}
        hosts = spec.get("hosts") or [spec.get("host", "")]
        return str(hosts[0])

    @property
    def name(self) -> str:
        """The name in the metadata."""
        return str((self.value.get("metadata") or {}).get("name", ""))


def objects(files: Files, kind: str, word: str = "") -> list[Object]:
    """Return all objects of a kind, in files with a word. Raises CannotEdit if one of these files
    is not valid YAML."""
    fitting = ((file, text) for file, text in sorted(files.items()) if kind in text)
    return [each for file, text in fitting if word in text for each in _objects(file, text, kind)]


def _objects(file: str, text: str, kind: str) -> Iterator[Object]:
    try:
        nodes = list(yaml.compose_all(text, yaml.SafeLoader))
    except yaml.YAMLError as error:
        raise CannotEdit(f"{file}: {error}") from error
    for node in nodes:
        if isinstance(node, MappingNode) and value_of(node).get("kind") == kind:
            yield Object(file, text, node)


def of_host(files: Files, kind: str, host: str) -> list[Object]:
    """Return the objects of a kind for exactly this host."""
    return [each for each in objects(files, kind, host) if each.host == host]


def value_of(node: Node) -> Any:
    """Return a node as values. PyYAML changes a node with merged keys, so it gets a copy."""
    return yaml.SafeLoader("").construct_document(copy.deepcopy(node))


def entry(node: MappingNode, key: str) -> tuple[Node, Node] | None:
    """Return the key and the value of an entry, or None."""
    for found, value in node.value:
        if isinstance(found, ScalarNode) and found.value == key:
            return found, value
    return None


def mapping(node: MappingNode, key: str, file: str) -> MappingNode:
    """Return an entry that must be a mapping."""
    found = entry(node, key)
    if found is None or not isinstance(found[1], MappingNode):
        raise CannotEdit(f"{file}:{line(node)}: {key} is absent or no mapping")
    return found[1]


def items(node: MappingNode, key: str, file: str) -> list[MappingNode]:
    """Return the mappings in an entry that must be a list of them."""
    found = entry(node, key)
    values: list[Node] = found[1].value if found and isinstance(found[1], SequenceNode) else []
    made = [each for each in values if isinstance(each, MappingNode)]
    if not made or len(made) != len(values):
        raise CannotEdit(f"{file}:{line(node)}: {key} is no list of mappings")
    return made


def line(node: Node) -> int:
    """Return the line, from 1, on which a node begins."""
    return node.start_mark.line + 1


def end(node: Node) -> int:
    """Return where the text of a node ends, without comments and empty lines after it."""
    if not isinstance(node, CollectionNode) or node.flow_style or not node.value:
        return node.end_mark.index
    last = node.value[-1]
    return end(last[1] if isinstance(last, tuple) else last)


def replaced_value(node: MappingNode, key: str, text: str, file: str) -> Edit:
    """Return the edit that gives an entry another value, in flow style."""
    found = entry(node, key)
    if found is None:
        raise CannotEdit(f"{file}:{line(node)}: {key} is absent")
    if found[1].start_mark.index < found[0].end_mark.index:
        raise CannotEdit(f"{file}:{line(found[0])}: {key} is an alias; write its value there")
    return Edit(found[0].end_mark.index, end(found[1]), f": {text}")


def inserted_first(node: MappingNode, text: str, note: str = "") -> Edit:
    """Return the edit that inserts an entry before the others of a mapping.

    `note` becomes a comment in block style; in flow style there is none.
    """
    begin = node.start_mark.index
    if node.flow_style:
        return Edit(begin + 1, begin + 1, f"{text}, ")
    after = f"{text}  # {note}" if note else text
    return Edit(begin, begin, f"{after}\n{' ' * node.start_mark.column}")


def inserted_item(sequence: SequenceNode, item: Node, text: str, note: str) -> Edit:
    """Return the edit that inserts an item before another one of a list."""
    begin = item.start_mark.index
    if sequence.flow_style:
        return Edit(begin, begin, f"{text}, ")
    dash = sequence.start_mark.column
    gap = item.start_mark.column - dash - 1
    return Edit(begin, begin, f"{text}  # {note}\n{' ' * dash}-{' ' * gap}")


def removed_entry(node: MappingNode, key: str) -> Edit | None:
    """Return the edit that removes an entry in block style up to the next one, or None."""
    for index, (found, value) in enumerate(node.value):
        if found.value == key:
            following = node.value[index + 1 :]
            if following:
                return Edit(found.start_mark.index, following[0][0].start_mark.index, "")
            return Edit(found.start_mark.index, end(value), "")
    return None


def edited(text: str, edits: Iterable[Edit]) -> str:
    """Return the text after all edits, whose places do not overlap."""
    for each in sorted(edits, key=lambda one: one.begin, reverse=True):
        text = text[: each.begin] + each.text + text[each.end :]
    return text


def edited_files(files: Files, edits: Iterable[tuple[str, Edit]]) -> Files:
    """Return the files after edits, each given with its file."""
    by_file: dict[str, list[Edit]] = {}
    for file, edit in edits:
        by_file.setdefault(file, []).append(edit)
    return files | {file: edited(files[file], found) for file, found in by_file.items()}
