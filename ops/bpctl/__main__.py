"""`./bpctl` or `python -m ops.bpctl`."""

from __future__ import annotations

from ops.bpctl.app import build

if __name__ == "__main__":
    build()(prog_name="./bpctl")
