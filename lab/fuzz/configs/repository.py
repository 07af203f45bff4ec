"""The repository's configuration as values, and a changed one as the bytes of its files."""

import copy
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import yaml

from mesh.controlplane.ingest.endpoints import Endpoints
from mesh.ctl import CONFIG
from mesh.ctl import any_places as placeholders

Resource = dict[str, Any]
Files = dict[str, list[Resource]]
"""The resources of each file, by its path in the folder."""
VERSIONS = ("1", "2")
"""The versions of the instances of each service, so that subsets have instances."""
_WIDTH = 1000


@dataclass(frozen=True)
class Changed:
    """A configuration: the text of every file, and its resources."""

    content: Mapping[str, bytes]
    files: Files
    damaged: str = ""
    """The file whose text is no longer that of its resources."""

    def shown(self) -> str:
        """Return the resources and texts that the repository's configuration does not have."""
        parts: list[str] = []
        for name, body in sorted(self.content.items()):
            if body == texts().get(name):
                continue
            known = files().get(name, [])
            new = [each for each in self.files[name] if each not in known]
            whole = name == self.damaged or not new
            text = body.decode(errors="replace") if whole else _dumped(new)
            parts.append(f"# {name}\n{text}")
        parts += [f"# {name} is removed\n" for name in texts() if name not in self.content]
        return "\n".join(parts)


@cache
def texts() -> Mapping[str, bytes]:
    """Return the files of the repository's configuration."""
    return {
        path.relative_to(CONFIG).as_posix(): path.read_bytes() for path in CONFIG.rglob("*.yaml")
    }


@cache
def _files() -> Files:
    loaded = {name: yaml.safe_load_all(body) for name, body in sorted(texts().items())}
    return {name: [each for each in found if each] for name, found in loaded.items()}


def files() -> Files:
    """Return a copy of the resources of the repository's configuration."""
    return copy.deepcopy(_files())


def changed(made: Files) -> Changed:
    """Return the configuration with these resources; unchanged files keep their text."""
    base, content = _files(), dict[str, bytes]()
    for name, found in made.items():
        same = name in base and base[name] == found
        content[name] = texts()[name] if same else _written(found)
    return Changed(content, made)


def _written(found: list[Resource]) -> bytes:
    """Return resources as JSON, which is YAML: every text can be written, also half a character."""
    return "\n---\n".join(json.dumps(each, indent=1) for each in found).encode()


def _dumped(found: list[Resource]) -> str:
    """Return resources as people write them."""
    try:
        return yaml.safe_dump_all(found, width=_WIDTH, sort_keys=False, default_flow_style=None)
    except UnicodeError:
        return _written(found).decode()


def of_kind(made: Files, kind: str) -> Iterator[Resource]:
    """Yield the resources of one kind."""
    for found in made.values():
        for each in found:
            if each.get("kind") == kind:
                yield each


@cache
def places() -> Endpoints:
    """Return placeholder addresses, each used once, with two versions of every service."""
    found = placeholders().model_dump(mode="json", exclude_none=True)
    ports = iter(range(20_000, 30_000))
    for name, service in found["services"].items():
        del service["mtls"]
        service["instances"] = [
            {"address": f"127.0.0.1:{next(ports)}", "version": each} for each in VERSIONS
        ]
        service["app_sockets"] = [f"/run/{name}/in.sock"]
        service["outbound_socket"] = f"/run/{name}/out.sock"
        service["admin_socket"] = f"/run/{name}/admin.sock"
    found["gateway"] = {"listen": "127.0.0.1:8443", "admin_socket": "/run/gateway/admin.sock"}
    found["partners"] = {host: f"127.0.0.1:{next(ports)}" for host in found["partners"]}
    return Endpoints.model_validate(found)
