"""Rules that the bank does not use now: a canary, subsets, a fault, a mirror, policies of SREs.

They replace files of mesh/config in a copy, so that the comparison covers them too.
"""

import shutil
from pathlib import Path

from lab.conformance.istio import CONFIG, DERIVED, Files
from mesh.istio.files import documents

PREFIX = "sample: "
HEADERS = (("x-canary", "1"), ("x-slow", "yes, please"))
"""The headers with which the sample's routes are asked about."""
FIRST_ROUTE = "canary"


def files(folder: Path) -> Files:
    """Write the sample's config and what is derived from it into a folder."""
    config, derived = folder / "config", folder / "derived"
    shutil.copytree(CONFIG, config)
    shutil.copytree(Path(__file__).parent, config, dirs_exist_ok=True)
    shutil.copytree(DERIVED, derived)
    for path, text in documents(config).items():
        (derived / path.name).write_text(text)
    return Files(config, derived)
