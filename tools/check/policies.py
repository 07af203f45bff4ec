"""That every method of the contracts has a policy which is complete and without contradiction."""

import tempfile
from pathlib import Path

from services import contracts
from tools.check.generated import build_image
from tools.check.tools import CheckFailed


def refuse_missing() -> None:
    """Read the policies from proto/ as it stands; raise CheckFailed for the first bad one."""
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder, "image.binpb")
        build_image(image)
        try:
            contracts.load(image.read_bytes())
        except contracts.ContractError as refused:
            raise CheckFailed(f"{refused}\nSee proto/bp/policy/v1/policy.proto.") from refused
