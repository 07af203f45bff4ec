"""`python -m lab.fuzz.configs`: random configurations of the mesh, judged with a real Envoy."""

import sys

from lab.fuzz.configs.command import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
