"""`./bpctl` or `python -m ops.bpctl`."""

from __future__ import annotations

import sys

from ops.bpctl.app import build

if __name__ == "__main__":
    build(sys.argv[1] if len(sys.argv) > 1 else None)(prog_name="./bpctl")
