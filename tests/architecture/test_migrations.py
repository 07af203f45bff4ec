"""The check detects every change of a released migration and names the broken rule."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.architecture.sources import REPO
from tools.check import migrations
from tools.check.tools import CheckFailed

TOYS = Path("services/toys/sql/migrations")
FIRST, SECOND = "0001_toys.sql", "0002_prices.sql"

DROPS = re.compile(r"\bDROP (TABLE|COLUMN)\b")


def _down(file: Path) -> str:
    return file.read_text().partition("-- migrate:down")[2]


def _drops(folder: Path) -> bool:
    return any(DROPS.search(_down(file)) for file in folder.glob("*.sql"))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A repository with one service whose two migrations are released."""
    (tmp_path / TOYS).mkdir(parents=True)
    (tmp_path / TOYS / FIRST).write_text("-- migrate:up\nCREATE TABLE toy ();\n")
    (tmp_path / TOYS / SECOND).write_text("-- migrate:up\nCREATE TABLE price ();\n")
    migrations.advance(tmp_path)
    migrations.refuse_changed(tmp_path)
    return tmp_path


def _edit(folder: Path) -> None:
    (folder / FIRST).write_text("-- migrate:up\nCREATE TABLE toy (id int);\n")


def _delete(folder: Path) -> None:
    (folder / FIRST).unlink()


def _rename(folder: Path) -> None:
    (folder / FIRST).rename(folder / "0001_games.sql")


def _same_number(folder: Path) -> None:
    (folder / "0002_sizes.sql").write_text("-- migrate:up\n")


def _damage(folder: Path) -> None:
    (folder / migrations.RELEASED).write_text("<<<<<<< ours\n")


BROKEN = {
    "edited": (_edit, f"{TOYS}/{FIRST} was released and has changed: a database that ran it"),
    "deleted": (_delete, f"{TOYS}/{FIRST} was released and is missing: a database that ran it"),
    "renamed": (_rename, f"{TOYS}/{FIRST} was released and is missing"),
    "a number given twice": (_same_number, f"{SECOND} and 0002_sizes.sql share the number 0002"),
    "a file of digests that is none": (_damage, "must be a digest"),
}


@pytest.mark.parametrize(("breaks", "finding"), BROKEN.values(), ids=BROKEN)
def test_what_was_released_cannot_change_and_the_finding_says_what_to_do(
    tree: Path, breaks: Callable[[Path], None], finding: str
) -> None:
    breaks(tree / TOYS)
    with pytest.raises(CheckFailed, match=finding):
        migrations.refuse_changed(tree)


def test_an_edit_is_refused_even_after_digests_were_written_again(tree: Path) -> None:
    _edit(tree / TOYS)
    migrations.advance(tree)
    with pytest.raises(CheckFailed, match="has changed"):
        migrations.refuse_changed(tree)


def test_a_new_migration_needs_its_digest_and_the_finding_names_the_command(tree: Path) -> None:
    before = (tree / TOYS / migrations.RELEASED).read_text()
    (tree / TOYS / "0010_sizes.sql").write_text("-- migrate:up\n")
    with pytest.raises(CheckFailed, match=r"0010_sizes\.sql has no digest .* run `make gen`"):
        migrations.refuse_changed(tree)
    migrations.advance(tree)
    migrations.refuse_changed(tree)
    assert (tree / TOYS / migrations.RELEASED).read_text().startswith(before)


def test_two_branches_that_add_migrations_merge_without_a_conflict(tree: Path) -> None:
    def git(*arguments: str) -> None:
        identity = ("-c", "user.name=a", "-c", "user.email=a@b")
        subprocess.run(["git", *identity, *arguments], cwd=tree, check=True, capture_output=True)

    def commit(name: str) -> None:
        (tree / TOYS / name).write_text("-- migrate:up\n")
        migrations.advance(tree)
        git("add", ".")
        git("commit", "-m", name)

    (tree / ".gitattributes").write_text((REPO / ".gitattributes").read_text())
    git("init", "-b", "main")
    commit("0003_sizes.sql")
    git("checkout", "-b", "colours")
    commit("0010_colours.sql")
    git("checkout", "main")
    commit("0004_weights.sql")
    git("merge", "colours")
    migrations.refuse_changed(tree)


def test_every_migration_of_the_bank_is_as_it_was_released() -> None:
    migrations.refuse_changed(REPO)
    assert len(list(REPO.glob(f"services/*/sql/migrations/{migrations.RELEASED}"))) >= 7


@pytest.mark.parametrize(
    "folder",
    [folder for folder in sorted(REPO.glob("services/*/sql/migrations")) if _drops(folder)],
    ids=lambda folder: folder.parts[-3],
)
def test_a_roll_back_drops_nothing_before_a_migration_refuses_it(folder: Path) -> None:
    """The newest `migrate:down` runs first, so it must refuse before any other drops data."""
    refused = False
    for file in sorted(folder.glob("*.sql"), reverse=True):
        refused = refused or "object_in_use" in _down(file)
        assert refused or not DROPS.search(_down(file)), file.name
