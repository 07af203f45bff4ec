"""Checks that every method of the contracts has a complete and consistent policy."""

import tempfile
from pathlib import Path

from services import contracts
from tools.check.generated import build_image
from tools.check.tools import CheckFailed


def refuse_missing() -> None:
    """Read the policies from proto/; raise CheckFailed for the first invalid one."""
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder, "image.binpb")
        build_image(image)
        try:
            contracts.load(image.read_bytes())
        except contracts.ContractError as refused:
            raise CheckFailed(f"{refused}\nSee proto/bp/policy/v1/policy.proto.") from refused
