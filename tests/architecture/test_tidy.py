"""The limits of CONTRIBUTING.md, held by a test: each finding names file, line and rule."""

import ast
import re
from collections.abc import Iterator

from tests.architecture.sources import PACKAGES, Module, modules, texts

FUNCTION_LINES_MAX = 50
MODULE_LINES_MAX = 400
LINE_CHARACTERS_MAX = 100
DOCSTRING_SENTENCES_MAX = 8
"""The rule is five. A definition that others implement, such as an encoding, may take more."""
BANNED_NAMES = frozenset(
    {"common", "util", "utils", "helper", "helpers", "misc", "base", "models", "stuff", "manager"}
)
LEFT_UNDONE = re.compile(
    r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK")) + r")\b"
)
MACHINE_PATH = re.compile(r"(?<![\w.~/])/(?:work|home|root|Users)/\w")
REGISTRY = re.compile(
    r"--(?:extra-)?index-url|--find-links|\"resolved\"\s*:|GOPROXY=|pypi\.org"
    r"|<repository>|<repositories>|^registry\s*=|registry\.npmjs|repo1?\.maven|^deb https?:",
    re.MULTILINE,
)
BROAD_EXCEPT = re.compile(r"except (?:Exception|BaseException)?:|except Exception\b")

Function = ast.FunctionDef | ast.AsyncFunctionDef
Documented = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def _functions(module: Module) -> Iterator[Function]:
    return (node for node in ast.walk(module.tree) if isinstance(node, Function))


def test_functions_are_at_most_fifty_lines() -> None:
    too_long = [
        f"{module.path}:{node.lineno} {node.name}"
        for module in modules()
        for node in _functions(module)
        if (node.end_lineno or node.lineno) - node.lineno + 1 > FUNCTION_LINES_MAX
    ]
    assert too_long == []


def test_modules_are_at_most_four_hundred_lines() -> None:
    lengths = {str(module.path): module.text.count("\n") for module in modules()}
    assert {path: n for path, n in lengths.items() if n > MODULE_LINES_MAX} == {}


def test_lines_of_sql_and_lua_are_at_most_a_hundred_characters() -> None:
    # ruff enforces the limit for Python; buf formats the contracts.
    too_long = [
        f"{path}:{number}"
        for path, text in texts().items()
        if path.suffix in (".sql", ".lua")
        for number, line in enumerate(text.splitlines(), 1)
        if len(line) > LINE_CHARACTERS_MAX
    ]
    assert too_long == []


def test_no_module_has_a_name_that_says_nothing() -> None:
    named = [m.path for m in modules() if BANNED_NAMES & set(m.path.with_suffix("").parts)]
    assert named == []


def test_modules_open_with_a_docstring_of_a_few_sentences() -> None:
    findings: list[str] = []
    for module in modules():
        if module.path.name == "__init__.py" and not module.text:
            continue
        docstring = ast.get_docstring(module.tree) or ""
        sentences = len(re.findall(r"[.!?](?=\s|$)", docstring))
        if not docstring or sentences > DOCSTRING_SENTENCES_MAX:
            findings.append(f"{module.path}: {sentences} sentences")
    assert findings == []


def _public(body: list[ast.stmt]) -> Iterator[Documented]:
    for node in body:
        if isinstance(node, Documented) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from _public(node.body)


def test_everything_public_has_a_docstring() -> None:
    bare = [
        f"{module.path}:{node.lineno} {node.name}"
        for module in modules()
        if module.path.parts[0] != "tests"
        for node in _public(module.tree.body)
        if ast.get_docstring(node) is None
    ]
    assert bare == []


def test_test_functions_are_named_after_a_behaviour() -> None:
    short = [
        f"{module.path}:{node.lineno} {node.name}"
        for module in modules()
        for node in module.tree.body
        if isinstance(node, Function) and node.name.startswith("test") and node.name.count("_") < 3
    ]
    assert short == []


def test_nothing_is_left_undone() -> None:
    assert _lines_with(LEFT_UNDONE) == []


def test_no_file_names_a_place_on_one_machine() -> None:
    assert _lines_with(MACHINE_PATH) == []


def test_no_file_names_a_package_registry() -> None:
    assert _lines_with(REGISTRY) == []


def _lines_with(pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{path}:{text.count(chr(10), 0, match.start()) + 1} {match.group()!r}"
        for path, text in texts().items()
        if path.name != "test_tidy.py"
        for match in pattern.finditer(text)
    ]


def test_only_the_edges_of_processes_catch_everything() -> None:
    broad = [
        str(module.path)
        for module in modules()
        if module.path.parts[0] in PACKAGES[:3] and BROAD_EXCEPT.search(module.text)
    ]
    assert len(broad) <= 4, broad


def test_a_file_gets_its_mode_when_it_is_created() -> None:
    # If a file is created with the umask's mode, another user can open it before the chmod.
    found = [
        f"{module.path}:{node.lineno}"
        for module in modules()
        if module.path.parts[0] != "tests" and module.path.name != "private.py"
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Attribute) and node.attr == "chmod"
    ]
    assert found == []
