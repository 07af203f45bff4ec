"""`python -m sandbox.stack up|down|status|restart|stop|start|kill|pids`: control the stack."""

from __future__ import annotations

import sys

from sandbox.stack import cli

if __name__ == "__main__":
    sys.exit(cli.main(sys.argv[1:]))
