"""The list of breached passwords: what it finds, and how an operator builds it."""

import hashlib
from pathlib import Path

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from ops.bpctl import breached as command
from ops.breached_list import SourceInvalid, build
from services.auth.breached import (
    ENTRY_BYTES,
    HEADER_BYTES,
    SHIPPED,
    BreachedListInvalid,
    BreachedPasswords,
    entry,
)

SHIPPED_BYTES_MAX = 300_000


def _built(folder: Path, lines: list[str], *, are_hashes: bool = False) -> BreachedPasswords:
    source = folder / "source.txt"
    source.write_text("\n".join(lines), encoding="utf-8")
    build(source, folder / "list.bin", are_hashes=are_hashes)
    return BreachedPasswords.open(folder / "list.bin")


@pytest.mark.parametrize(
    "password", ["password1", "PASSWORD1", "Password1", "qwertyuiop", "iloveyou", "ｐassword1"]
)
def test_the_shipped_list_has_the_most_frequent_passwords(password: str):
    assert BreachedPasswords.open().contains(password)


@pytest.mark.parametrize("password", ["", "correct horse battery staple", "ana-Passw0rd-2026"])
def test_the_shipped_list_lacks_other_passwords(password: str):
    assert not BreachedPasswords.open().contains(password)


def test_the_shipped_list_is_small_ordered_and_has_no_password_in_clear():
    content = SHIPPED.read_bytes()
    entries = [content[i : i + ENTRY_BYTES] for i in range(HEADER_BYTES, len(content), ENTRY_BYTES)]
    assert len(content) < SHIPPED_BYTES_MAX
    assert 10_000 < len(entries) == len(set(entries)) == len(BreachedPasswords.open())
    assert entries == sorted(entries)
    assert b"password" not in content


@given(
    st.lists(st.text("abcdefgh🦄é", min_size=8, max_size=12), max_size=30),
    st.text("abcdefgh🦄é", min_size=8, max_size=12),
)
def test_a_list_contains_exactly_its_passwords(
    tmp_path_factory: pytest.TempPathFactory, passwords: list[str], other: str
):
    found = _built(tmp_path_factory.mktemp("lists"), passwords)
    assert all(found.contains(password) for password in passwords)
    assert found.contains(other) == (other in passwords)
    assert len(found) == len(set(passwords))


def test_a_hash_list_gives_the_same_file_as_its_passwords(tmp_path: Path):
    passwords = ["password1", "sunshine7", "München1860"]
    hashes = sorted(hashlib.sha1(p.encode()).hexdigest().upper() for p in passwords)  # noqa: S324
    _built(tmp_path, passwords)
    expected = (tmp_path / "list.bin").read_bytes()
    found = _built(tmp_path, [f"{h}:{n}" for n, h in enumerate(hashes)], are_hashes=True)
    assert (tmp_path / "list.bin").read_bytes() == expected
    assert all(found.contains(password) for password in passwords)


def test_entries_begin_as_the_hashes_of_public_lists():
    assert entry(b"password").hex() == "5baa61e4c9b93f3f"


def test_passwords_that_are_too_short_for_the_bank_are_left_out(tmp_path: Path):
    assert len(_built(tmp_path, ["secret", "longer secret"])) == 1


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["0" * 40, "password1"], "line 2 is not a SHA-1 hash"),
        (["F" * 40, "0" * 40], "line 2 is not in order"),
    ],
)
def test_a_malformed_hash_list_leaves_the_old_list(tmp_path: Path, lines: list[str], message: str):
    _built(tmp_path, ["password1"])
    with pytest.raises(SourceInvalid, match=message):
        _built(tmp_path, lines, are_hashes=True)
    assert BreachedPasswords.open(tmp_path / "list.bin").contains("password1")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["list.bin", "source.txt"]


@pytest.mark.parametrize("change", ["shorter", "longer", "other magic", "empty"])
def test_a_damaged_list_is_refused(tmp_path: Path, change: str):
    _built(tmp_path, ["password1", "password2"])
    path = tmp_path / "list.bin"
    content = path.read_bytes()
    damaged = {
        "shorter": content[:-1],
        "longer": content + bytes(8),
        "other magic": b"X" + content[1:],
        "empty": b"",
    }
    path.write_bytes(damaged[change])
    with pytest.raises(BreachedListInvalid):
        BreachedPasswords.open(path)


def test_a_new_list_replaces_the_file_while_a_process_reads_the_old_one(tmp_path: Path):
    old = _built(tmp_path, ["password1"])
    new = _built(tmp_path, ["password2"])
    assert old.contains("password1")
    assert not new.contains("password1")
    assert new.contains("password2")
    old.close()


@pytest.mark.parametrize(
    ("line", "options", "exit_code", "said"),
    [
        ("password1", (), 0, "Entries: 1."),
        ("password1", ("--hashes",), 2, "line 1 is not a SHA-1 hash"),
    ],
)
def test_an_operator_builds_a_list(
    tmp_path: Path, line: str, options: tuple[str, ...], exit_code: int, said: str
):
    auth = typer.Typer()
    command.register(auth)
    source, target = tmp_path / "source.txt", tmp_path / "list.bin"
    source.write_text(line)
    arguments = ["breached", "build", str(source), str(target), *options]
    done = CliRunner().invoke(auth, arguments)
    assert done.exit_code == exit_code
    assert said in done.output
    assert target.exists() == (exit_code == 0)
