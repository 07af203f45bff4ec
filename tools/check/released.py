"""The contract that clients hold: proto/released.binpb, an image; no network or git is needed.

`make check` refuses what breaks it. `make gen` moves it on by itself while changes are additive;
a break is accepted by hand, with `python -m tools.check.generate --accept-breaking`, and the
file's change in the commit is what a reviewer sees.
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
    """Make the contracts in the tree the released ones."""
    build_image(RELEASED)
