"""The facts that istiod stated in the last run, in a file that `make test` compares with ours.

One line for each question, so that a diff can be reviewed.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FILE = Path(__file__).resolve().parents[2] / "tests" / "golden" / "mesh" / "conformance.json"


def write(facts: Mapping[str, Any], file: Path = FILE) -> None:
    """Replace the file."""
    lines = (f"{json.dumps(key)}: {json.dumps(value)}" for key, value in sorted(facts.items()))
    file.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def read(file: Path = FILE) -> dict[str, Any]:
    """Return istiod's facts of the last run."""
    return json.loads(file.read_text())
