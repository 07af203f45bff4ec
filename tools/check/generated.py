"""Everything that is generated and committed, made anew in a folder of its own.

`make gen` copies the folder over the tree, `make check` compares the two. What is generated:
gen/ (stubs and descriptor set), the OpenAPI document, and the diagrams in docs/ drawn from code.
"""

import difflib
import filecmp
import shutil
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

from tools.check import diagrams
from tools.check.tools import REPO, CheckFailed, run

GEN = Path("gen")
DESCRIPTOR_SET = GEN / "descriptor.binpb"
OPENAPI = Path("docs/openapi.json")
HINT = "Run `make gen` and commit what it changes."


@contextmanager
def made_anew() -> Generator[Path]:
    """Generate everything under a temporary folder, laid out as the repository."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run("buf", "generate", "-o", folder)
        build_image(folder / DESCRIPTOR_SET)
        (folder / OPENAPI.parent).mkdir()
        _write_openapi(folder)
        for path, text in diagrams.documents().items():
            (folder / path).write_text(text)
        yield folder


def build_image(target: Path) -> None:
    """Write the contracts as a FileDescriptorSet, imports included, without source positions."""
    options = ("--as-file-descriptor-set", "--exclude-source-info")
    run("buf", "build", "-o", target, *options)


def _write_openapi(folder: Path) -> None:
    """Write the OpenAPI document; its descriptions are the contracts' comments."""
    with tempfile.TemporaryDirectory() as name:
        full = Path(name, "full.binpb")
        run("buf", "build", "-o", full, "--as-file-descriptor-set")
        run("python", "-m", "gateway.openapi.document", full, folder / OPENAPI)


def write() -> None:
    """Put what is generated into the tree."""
    with made_anew() as folder:
        shutil.rmtree(REPO / GEN)
        shutil.copytree(folder, REPO, dirs_exist_ok=True)


def compare() -> None:
    """Raise CheckFailed with every committed file that differs from what would be generated."""
    with made_anew() as folder:
        differing = [*_differing(folder), *_superfluous(folder)]
    if differing:
        raise CheckFailed("\n".join([*differing, HINT]))


def _differing(folder: Path) -> Iterator[str]:
    for made in sorted(folder.rglob("*")):
        if made.is_dir():
            continue
        committed = REPO / made.relative_to(folder)
        if not committed.exists():
            yield f"{made.relative_to(folder)}: missing"
        elif not filecmp.cmp(made, committed, shallow=False):
            yield f"{made.relative_to(folder)}: {_first_difference(committed, made)}"


def _first_difference(committed: Path, made: Path) -> str:
    if made.suffix == ".binpb":
        return "differs"
    before, after = committed.read_text().splitlines(), made.read_text().splitlines()
    changed = (
        line
        for line in difflib.unified_diff(before, after, lineterm="", n=0)
        if line[:1] in "+-" and line[:3] not in ("---", "+++")
    )
    return f"differs, first at {next(changed, '')[:90]}"


def _superfluous(folder: Path) -> Iterator[str]:
    for committed in sorted((REPO / GEN).rglob("*")):
        name = committed.relative_to(REPO)
        if committed.is_file() and "__pycache__" not in name.parts and not (folder / name).exists():
            yield f"{name}: nothing generates it"
