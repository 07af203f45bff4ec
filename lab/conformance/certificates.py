"""Authorities and certificates that exist for one run, made as the sandbox makes its partners'."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from sandbox.partners import ca


@dataclass(frozen=True)
class Authority:
    """Signs certificates; its own certificate is in `pem`, its key in `key`."""

    name: str
    folder: Path

    @property
    def pem(self) -> Path:
        """The file of its certificate."""
        return ca.authority_file(self.folder, self.name)

    @property
    def key(self) -> Path:
        """The file of its private key."""
        return self.pem.with_suffix(".key")

    def issue(self, folder: Path, *, dns: tuple[str, ...] = (), uri: str | None = None) -> Path:
        """Write cert.pem, key.pem and ca.pem into a folder; return the folder."""
        self.folder.mkdir(parents=True, exist_ok=True)
        folder.mkdir(parents=True, exist_ok=True)
        stem = f"{self.name}-{folder.name}"
        ca.issue(self.folder, ca.Leaf(stem, self.name, folder.name, dns, uri, both=True))
        shutil.move(self.folder / f"{stem}.pem", folder / "cert.pem")
        shutil.move(self.folder / f"{stem}.key", folder / "key.pem")
        shutil.copyfile(self.pem, folder / "ca.pem")
        return folder


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner can open, from the first moment on."""
    with os.fdopen(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
