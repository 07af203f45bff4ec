"""Who decided a review: the name that a reviewer gives, and the operating-system user."""

import os
import pwd
from pathlib import Path

import pytest

from ops.bpctl import reviewer

GOOD = ["eva", "Eva Núñez", "O'Neill, Pat", "eva.n-1@bank.test", "e" * 64]
BAD = {
    "nothing": "",
    "blanks": "   ",
    "a control character": "eva\x1b[2K",
    "a new line": "eva\nluis",
    "a change of direction": "eva\u202eavl",
    "markup": "[red]eva[/red]",
    "no letter": "...",
    "too long": "e" * 65,
}


@pytest.mark.parametrize("name", GOOD)
def test_a_persons_name_is_accepted_without_outer_blanks(name: str) -> None:
    assert reviewer.checked_name(f" {name} ") == name


@pytest.mark.parametrize("text", BAD.values(), ids=BAD)
def test_a_text_that_names_nobody_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="1 to 64"):
        reviewer.checked_name(text)


def test_a_name_has_at_most_as_many_bytes_as_the_table_allows() -> None:
    assert reviewer.checked_name("\u540d" * 42)
    with pytest.raises(ValueError, match="128 bytes"):
        reviewer.checked_name("\u540d" * 43)


def test_a_note_has_at_most_as_many_bytes_as_the_table_allows() -> None:
    assert reviewer.checked_note(" " + "\u00f1" * 1000 + " ") == "\u00f1" * 1000
    for note in ("\u00f1" * 1001, "a\0b", "\udcff", "  "):
        with pytest.raises(ValueError, match="The note"):
            reviewer.checked_note(note)


def test_the_user_is_the_one_who_logged_in_whatever_the_environment_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME", "SUDO_USER"):
        monkeypatch.setenv(name, "mallory")
    login = tmp_path / "loginuid"
    assert reviewer.os_user(login) == _named(os.getuid()), "no file: the process's own user"
    login.write_text(f"{2**32 - 1}")
    assert reviewer.os_user(login) == _named(os.getuid()), "nobody logged in"
    login.write_text(f"{os.getuid()}")
    assert reviewer.os_user(login) == _named(os.getuid()), "the same user"


def test_a_login_that_is_not_the_user_of_the_process_is_recorded_with_that_user(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Any process without a login can write a user id of its choice into loginuid, once."""
    login = tmp_path / "loginuid"
    login.write_text("4000000001")
    own = _named(os.getuid())
    assert reviewer.os_user(login) == f"(uid 4000000001) running as {own}"
    monkeypatch.setattr(os, "getuid", lambda: 4000000002)
    login.write_text("0")
    assert reviewer.os_user(login) == f"{_named(0)} running as (uid 4000000002)"


def test_the_users_of_a_review_fit_into_their_column(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    long = pwd.struct_passwd(("ñ" * 60, "x", 1, 1, "", "/", "/bin/sh"))
    monkeypatch.setattr(pwd, "getpwuid", lambda _uid: long)
    monkeypatch.setattr(os, "getuid", lambda: 1001)
    login = tmp_path / "loginuid"
    login.write_text("1000")
    assert reviewer.os_user(login) == "(uid 1000) running as (uid 1001)"


def _named(uid: int) -> str:
    return f"{pwd.getpwuid(uid).pw_name} (uid {uid})"
