"""`./bpctl` or `python -m sandbox.bpctl`."""

from __future__ import annotations

from sandbox.bpctl.app import build

if __name__ == "__main__":
    build()()
