"""Starts a proxy from an altered copy of its configuration, for experiments and tests.

The copy is in the form of files, so it can be altered as JSON. While a proxy is pinned, the control
plane has no stream to it; after `unpin` and a restart it is as before.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mesh import ctl
from mesh.controlplane.deliver import files
from mesh.controlplane.deliver.snapshot import snapshots
from mesh.controlplane.ingest import endpoints
from mesh.pilot.places import Places
from sandbox.stack.home import Home
from sandbox.stack.parts import proxy_start
from sandbox.stack.supervisor import private

Altered = Callable[[dict[str, Any]], dict[str, Any]]
"""Returns the changed content of lds.json or cds.json."""


def pin(home: Home, proxy: str, listeners: Altered, clusters: Altered) -> None:
    """Have the proxy start from an altered copy of what is in force; restart it afterwards."""
    places = Places(home.root, home.run)
    out = _copy(home, proxy)
    mesh, passed_on = ctl.load_mesh(places.active, endpoints.read(places.endpoints))
    every = snapshots(mesh, passed_on, files.secret_files(out))
    files.write([every[proxy]], out)
    folder = out / proxy
    for name, altered in (("lds.json", listeners), ("cds.json", clusters)):
        content = altered(json.loads((folder / name).read_text()))
        private.write(folder / name, json.dumps(content))
    private.write(home.envoy / proxy / proxy_start.PINNED, str(folder / "bootstrap.json"))


def unpin(home: Home, proxy: str) -> None:
    """Have the proxy start as before; restart it afterwards."""
    (home.envoy / proxy / proxy_start.PINNED).unlink(missing_ok=True)
    shutil.rmtree(_copy(home, proxy), ignore_errors=True)


def _copy(home: Home, proxy: str) -> Path:
    return home.envoy / f"{proxy}-pinned"
