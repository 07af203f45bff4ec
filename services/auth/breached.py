"""The list of passwords that became public, in one file that an operator can replace. Read only.

The file has a header of 16 bytes, `MAGIC` and the number of entries (8 bytes, big-endian). The
entries follow, in rising order: the first eight bytes of the SHA-1 digest of each password, as in
the lists of Have I Been Pwned. A random password is in a list of a thousand million entries with
a probability of 10^-10. `bpctl` builds the file (ops/breached_list.py).
"""

import hashlib
import mmap
from bisect import bisect_left
from pathlib import Path

from services.auth.passwords import normalised

MAGIC = b"BPPWNED1"
HEADER_BYTES = 16
ENTRY_BYTES = 8
SHIPPED = Path(__file__).with_name("data") / "breached_passwords.bin"
"""The most frequent passwords of at least eight characters."""


class BreachedListInvalid(ValueError):
    """The list of breached passwords is damaged. Build it with `bpctl auth breached build`."""

    def __init__(self) -> None:
        super().__init__(self.__doc__)


def entry(password: bytes) -> bytes:
    """Return the entry of a password in UTF-8."""
    # SHA-1 protects nothing here; it is the digest of the public lists.
    return hashlib.sha1(password, usedforsecurity=False).digest()[:ENTRY_BYTES]


class BreachedPasswords:
    """An open list. The system reads only the pages that a search needs."""

    def __init__(self, content: mmap.mmap) -> None:
        """Raise BreachedListInvalid when header and length disagree."""
        count = int.from_bytes(content[len(MAGIC) : HEADER_BYTES], "big")
        if content[: len(MAGIC)] != MAGIC or len(content) != HEADER_BYTES + count * ENTRY_BYTES:
            raise BreachedListInvalid
        self._content = content
        self._count = count

    @classmethod
    def open(cls, path: Path = SHIPPED) -> "BreachedPasswords":
        """Open a list; a file that replaces it later is read after a restart."""
        with path.open("rb") as file:
            if path.stat().st_size < HEADER_BYTES:
                raise BreachedListInvalid
            return cls(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))

    def __len__(self) -> int:
        return self._count

    def contains(self, password: str) -> bool:
        """Return True when the list has the password, its normalised or its lower-case form.

        A search in a large list may read from the disk up to 30 times; call it in a thread there.
        """
        text = normalised(password)
        forms = {password, text, text.lower()}
        return any(self._has(entry(form.encode("utf-8", "surrogatepass"))) for form in forms)

    def close(self) -> None:
        """Close the file."""
        self._content.close()

    def _has(self, wanted: bytes) -> bool:
        at = bisect_left(range(self._count), wanted, key=self._entry_at)
        return at < self._count and self._entry_at(at) == wanted

    def _entry_at(self, index: int) -> bytes:
        start = HEADER_BYTES + index * ENTRY_BYTES
        return self._content[start : start + ENTRY_BYTES]
