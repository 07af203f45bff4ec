"""Writes the derived kinds of a folder of config: `python -m mesh.istio CONFIG OUT`."""

import argparse
from pathlib import Path

from mesh.istio.files import documents


def main() -> None:
    """Write the files."""
    parser = argparse.ArgumentParser(prog="python -m mesh.istio", description=__doc__)
    parser.add_argument("config", type=Path)
    parser.add_argument("out", type=Path)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    for path, text in documents(given.config).items():
        (given.out / path.name).write_text(text)


if __name__ == "__main__":
    main()
