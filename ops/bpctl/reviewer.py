"""Who decides a review: the name that the reviewer gives, and the operating-system user.

The name is only a claim. The users of the login and of the process come from the kernel, so they
are recorded next to the name.
"""

import os
import pwd
import unicodedata
from pathlib import Path

NAME_CHARS_MAX = 64
NAME_BYTES_MAX = 128
NOTE_BYTES_MAX = 2000
OS_USER_BYTES_MAX = 128
"""Limits of the table `payments.review_decision`, in UTF-8."""

LOGIN = Path("/proc/self/loginuid")
"""The user id of the login, which su and sudo do not change."""

_NO_LOGIN = 2**32 - 1
_ALLOWED = frozenset(" .,'-_@")


def checked_name(text: str) -> str:
    """Return the name without surrounding spaces; raise ValueError if it is not a valid name."""
    name = unicodedata.normalize("NFC", text).strip()
    letters = [char for char in name if unicodedata.category(char)[0] in "LMN"]
    if not letters or len(name) > NAME_CHARS_MAX or {*name} - {*letters} - _ALLOWED:
        raise ValueError(
            f"A reviewer's name has 1 to {NAME_CHARS_MAX} letters, digits, spaces and . , ' - _ @"
        )
    if len(name.encode()) > NAME_BYTES_MAX:
        raise ValueError(f"A reviewer's name has at most {NAME_BYTES_MAX} bytes in UTF-8")
    return name


def checked_note(text: str) -> str:
    """Return the note without surrounding spaces; raise ValueError if it cannot be recorded."""
    note = text.strip()
    if not note:
        raise ValueError("The note is empty. Give the reason")
    if "\0" in note:
        raise ValueError("The note contains a NUL character")
    try:
        size = len(note.encode())
    except UnicodeEncodeError:
        raise ValueError("The note is not UTF-8 text") from None
    if size > NOTE_BYTES_MAX:
        raise ValueError(f"The note has {size} bytes in UTF-8. At most {NOTE_BYTES_MAX} are stored")
    return note


def os_user(login: Path = LOGIN) -> str:
    """Return the operating-system user who logged in, such as "eva (uid 1000)".

    If the process runs as another user, as after su or sudo, the text names both: "eva (uid 1000)
    running as root (uid 0)". Only the second is certain, because a process without a login can set
    the login's user id once. Without a login, as in a container, it is the user of the process.
    Environment variables are not used, because any user can change them.
    """
    own = os.getuid()
    uid = _login_uid(login)
    if uid in (own, _NO_LOGIN):
        return _named(own)
    both = f"{_named(uid)} running as {_named(own)}"
    fits = len(both.encode()) <= OS_USER_BYTES_MAX
    return both if fits else f"(uid {uid}) running as (uid {own})"


def _named(uid: int) -> str:
    try:
        return f"{pwd.getpwuid(uid).pw_name} (uid {uid})"
    except (KeyError, OverflowError):
        return f"(uid {uid})"


def _login_uid(login: Path) -> int:
    try:
        return int(login.read_text())
    except (OSError, ValueError):
        return _NO_LOGIN
