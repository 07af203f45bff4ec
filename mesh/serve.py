"""Process entry of the control plane: `python -m mesh.serve --home .bp`."""

import argparse
import asyncio
import logging
import sys
from pathlib import Path

from mesh.pilot.places import Places
from mesh.pilot.process import AlreadyRunning, serve


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m mesh.serve", description=__doc__)
    parser.add_argument("--home", type=Path, required=True, help="BP_HOME")
    parser.add_argument("--run", type=Path, help="the folder of sockets; default: BP_HOME/run")
    parser.add_argument("--kafka", default="", help="host:port of a broker, for the audit events")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    home = given.home.absolute()
    try:
        asyncio.run(serve(Places(home, given.run or home / "run"), given.kafka))
    except AlreadyRunning as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
