"""Small pools for the bodies that have not arrived yet, so that few calls fill them."""

import re
import shutil
from pathlib import Path

from gateway.open_bodies import REQUEST_BYTES
from mesh import ctl

LOGINS = 10
"""The largest slow logins that an address may have; three addresses fill the pool."""
PICTURES = 2
"""The slow pictures of 1 MB that an address may have; two addresses fill the pool."""
_LOGIN_KIB = (REQUEST_BYTES + 8192) // 1024
_PICTURES_KIB = 2076
"""The least that an address may have: the largest picture."""
_POOLS = (
    (LOGINS * _LOGIN_KIB, 3 * LOGINS * _LOGIN_KIB),
    (_PICTURES_KIB, 2 * _PICTURES_KIB),
)
"""What an address and all may have, in KiB: of small bodies, and of large ones."""


def with_small_pools(folder: Path) -> Path:
    """Copy the configuration to a new folder, make its pools small and return the folder."""
    shutil.copytree(ctl.CONFIG, folder)
    policy, pools = folder / "gateway.yaml", iter(_POOLS)
    text, found = re.subn("perAddressKiB: .*}", lambda _: _limits(*next(pools)), policy.read_text())
    assert found == len(_POOLS)
    policy.write_text(text)
    return folder


def _limits(address: int, total: int) -> str:
    return f"perAddressKiB: {address}, perSiteKiB: {total}, totalKiB: {total}}}"
