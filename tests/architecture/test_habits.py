"""Commit hooks, devcontainer and pull-request template name only things that exist."""

import json
import re
from typing import Any

import yaml

from tests.architecture.sources import REPO

HOOKS = REPO / ".pre-commit-config.yaml"
DEVCONTAINER = REPO / ".devcontainer"
TEMPLATE = REPO / ".github" / "pull_request_template.md"


def test_every_hook_is_local_and_its_program_is_in_the_virtual_environment() -> None:
    loaded: Any = yaml.safe_load(HOOKS.read_text())
    assert [repo["repo"] for repo in loaded["repos"]] == ["local"]
    entries = [hook["entry"] for repo in loaded["repos"] for hook in repo["hooks"]]
    programs = [re.findall(r"\.venv/bin/[\w-]+", entry) for entry in entries]
    assert all(programs)
    assert [p for found in programs for p in found if not (REPO / p).exists()] == []


def test_the_devcontainer_runs_make_targets_and_has_the_packages_of_the_ci() -> None:
    settings = json.loads((DEVCONTAINER / "devcontainer.json").read_text())
    targets = re.findall(r"^([a-z-]+):", (REPO / "Makefile").read_text(), re.MULTILINE)
    for name in ("postCreateCommand", "postStartCommand"):
        assert settings[name].removeprefix("make ") in targets
    dockerfile = (DEVCONTAINER / "Dockerfile").read_text()
    wanted = re.findall(r"missing\+=\(([^)]+)\)", (REPO / ".ci" / "run").read_text())
    packages = {package for line in wanted for package in line.split()}
    assert len(packages) >= 5
    assert {package for package in packages if package not in dockerfile.split()} == set()


def test_the_pull_request_template_has_a_check_box_for_each_rule_of_deployability() -> None:
    boxes = re.findall(r"^- \[ \] \*\*(.+?)\.\*\*", TEMPLATE.read_text(), re.MULTILINE)
    headings = re.findall(
        r"^## (.+)$", (REPO / "docs" / "deployability.md").read_text(), re.MULTILINE
    )
    assert len(boxes) == 4
    assert [box for box in boxes if box not in headings] == []
