"""Reads mesh/config/ again and again: a file whose bytes have not changed is not parsed again.

Its resources are the same objects as before. So an edit costs the parsing of one file.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mesh.controlplane.ingest import documents, resources
from mesh.controlplane.ingest.faults import ANY_KIND, Findings
from mesh.controlplane.ingest.resources import Resource


@dataclass(frozen=True)
class _Read:
    """What one file contains, and its errors."""

    digest: bytes
    resources: tuple[Resource, ...]
    findings: Findings


class Remembered:
    """Remembers each file by a digest of its content."""

    def __init__(self) -> None:
        self._files: dict[Path, _Read] = {}

    def read(self, folder: Path, findings: Findings) -> list[Resource]:
        """Return the resources of all files under a folder, and note their errors."""
        files = ((path, partial(documents.content_of, path)) for path in documents.files_of(folder))
        return self._resources(files, findings)

    def of(self, contents: Mapping[str, bytes], findings: Findings) -> list[Resource]:
        """Return the resources of files that were read before, by their relative paths."""
        paths = ((Path(name), contents[name]) for name in sorted(contents))
        files = (
            (path, partial(documents.limited, path, content))
            for path, content in paths
            if documents.is_configuration(path)
        )
        return self._resources(files, findings)

    def _resources(
        self, files: Iterable[tuple[Path, Callable[[], bytes]]], findings: Findings
    ) -> list[Resource]:
        present: dict[Path, _Read] = {}
        for path, content_of in files:
            with findings.reading(ANY_KIND):
                present[path] = self._file(path, content_of())
        self._files = present
        for each in present.values():
            findings.extend(each.findings)
        found = (one for each in present.values() for one in each.resources)
        return resources.distinct(found, findings)

    def _file(self, path: Path, content: bytes) -> _Read:
        digest = hashlib.sha256(content).digest()
        before = self._files.get(path)
        if before and before.digest == digest:
            return before
        findings = Findings()
        read: list[documents.Document] = []
        with findings.reading(ANY_KIND):
            read.extend(documents.documents_of(path, content))
        return _Read(digest, tuple(resources.parse_each(read, findings)), findings)
