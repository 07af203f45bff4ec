"""The bootstrap from which a proxy starts: by stream, or its last good files without control plane.

A proxy that starts from files gets its later updates by the same files, until its next start. The
file `pinned` in its folder names another bootstrap, for experiments that replace a configuration.
"""

from __future__ import annotations

from pathlib import Path

from mesh.pilot.places import LAST_GOOD, START, STREAM
from sandbox.stack.supervisor import private
from sandbox.stack.supervisor.probes import Probe

PINNED = "pinned"


async def choose(folder: Path, control_plane: Probe) -> None:
    """Link `start.json` in a proxy's folder to the bootstrap from which it starts.

    Raises FileNotFoundError if the control plane does not answer and never did.
    """
    private.folder(folder)
    target = await _target(folder, control_plane)
    link = folder / START
    draft = folder / f".{START}.draft"
    draft.unlink(missing_ok=True)
    draft.symlink_to(target)
    draft.replace(link)


async def _target(folder: Path, control_plane: Probe) -> str:
    pinned = folder / PINNED
    if pinned.exists():
        return pinned.read_text()
    by_stream, by_files = (folder / STREAM).exists(), (folder / LAST_GOOD).exists()
    if by_stream and (not by_files or await control_plane.check()):
        return STREAM
    if by_files:
        return LAST_GOOD
    raise FileNotFoundError(f"{folder} has no bootstrap; the control plane writes it")
