"""Lists the repository's hand-written text files and parses its Python files."""

import ast
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
PACKAGES = ("services", "gateway", "mesh", "ops", "sandbox", "lab", "tools", "tests")
TEXT_SUFFIXES = frozenset(
    {".py", ".md", ".proto", ".sql", ".toml", ".yaml", ".yml", ".xml", ".lua", ".in", ".json", ""}
)
HIDDEN = frozenset(
    {".ci", ".devcontainer", ".editorconfig", ".github", ".gitignore", ".pre-commit-config.yaml"}
)
"""Names with a dot that people of this repository write."""
_OUTSIDE = re.compile(r"^(\.|gen$|third_party$|__pycache__$)")
"""Top-level names to skip: state, caches, generated and third-party files."""


@dataclass(frozen=True, slots=True)
class Module:
    """One Python file, parsed."""

    path: Path
    """Relative to the repository."""
    text: str
    tree: ast.Module

    @property
    def name(self) -> str:
        """The dotted name under which it is imported."""
        parts = self.path.with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def modules() -> tuple[Module, ...]:
    """Return every Python file that is written by hand."""
    paths = [path for top in PACKAGES for path in sorted((REPO / top).rglob("*.py"))]
    return tuple(_parsed(path) for path in paths)


def _parsed(path: Path) -> Module:
    text = path.read_text()
    return Module(path.relative_to(REPO), text, ast.parse(text))


@cache
def texts() -> dict[Path, str]:
    """Return every text file that is written by hand, under its path in the repository."""
    found: dict[Path, str] = {}
    for top in sorted(REPO.iterdir()):
        if _OUTSIDE.match(top.name) and top.name not in HIDDEN:
            continue
        for path in [top] if top.is_file() else sorted(top.rglob("*")):
            if path.is_file() and path.suffix in TEXT_SUFFIXES and path.suffix != ".binpb":
                found[path.relative_to(REPO)] = path.read_text()
    return found
