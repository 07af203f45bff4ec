"""Finds the folders of packages that contain programs, without importing them."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path


def folder_of(package: str) -> Path:
    """Return the folder of an installed package; RuntimeError with the remedy if it is missing."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError(f"the Python package {package} is missing: run `make setup`")
    return Path(spec.submodule_search_locations[0])
