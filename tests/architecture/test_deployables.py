"""The import contracts name each deployable under services/, and each has a page about it."""

import tomllib
from typing import Any

from tests.architecture.sources import REPO

DEPLOYABLES = sorted(path.parent.name for path in (REPO / "services").glob("*/__main__.py"))


def _contract(name: str) -> dict[str, Any]:
    configuration = tomllib.loads((REPO / "pyproject.toml").read_text())
    contracts = configuration["tool"]["importlinter"]["contracts"]
    return next(contract for contract in contracts if contract["id"] == name)


def test_import_contracts_name_every_deployable() -> None:
    names = [f"services.{name}" for name in DEPLOYABLES]
    assert _contract("deployables")["modules"] == names
    assert _contract("layers")["containers"] == names
    assert _contract("libraries")["layers"][0].split(" | ") == names
    assert set(names) <= set(_contract("contracts")["forbidden_modules"])


def test_every_deployable_has_a_page_that_explains_it() -> None:
    assert [n for n in DEPLOYABLES if not (REPO / "services" / n / "README.md").exists()] == []


def test_every_deployable_has_a_process_entry_and_one_place_of_wiring() -> None:
    assert [n for n in DEPLOYABLES if not (REPO / "services" / n / "bootstrap.py").exists()] == []


def test_every_folder_of_tests_is_run() -> None:
    configuration = tomllib.loads((REPO / "pyproject.toml").read_text())
    run = configuration["tool"]["pytest"]["ini_options"]["testpaths"]
    there = {path.parent.relative_to(REPO) for path in (REPO / "tests").rglob("test_*.py")}
    assert [f for f in there if not any(f.is_relative_to(folder) for folder in run)] == []
