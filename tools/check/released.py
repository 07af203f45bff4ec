"""Checks the contracts against the released ones in proto/released.binpb, without network or git.

`make check` refuses a breaking change. `make gen` updates the image while changes are additive. A
developer accepts a breaking change with `python -m tools.check.generate --accept-breaking`, and
the reviewer sees the changed image in the commit.
"""

import tempfile
from pathlib import Path

from tools.check.generated import build_image
from tools.check.tools import REPO, run

RELEASED = REPO / "proto" / "released.binpb"


def refuse_breaking() -> None:
    """Compare the contracts in the tree with the released image; raise CheckFailed on a break."""
    with tempfile.TemporaryDirectory() as folder:
        now = Path(folder, "now.binpb")
        build_image(now)
        run("buf", "breaking", now, "--against", RELEASED)


def advance() -> None:
    """Write the contracts in the tree as the released ones."""
    build_image(RELEASED)
