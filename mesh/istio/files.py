"""The files of k8s/base/mesh/ and their content."""

from pathlib import Path
from typing import Any

import yaml

from mesh.istio import (
    access,
    breakers,
    credentials,
    edge,
    routes,
    settings,
)
from mesh.istio.kinds import Kind, text
from services import contracts

FOLDER = Path("k8s/base/mesh")
CONFIG = Path(__file__).resolve().parents[1] / "config"


def documents(config: Path = CONFIG) -> dict[Path, str]:
    """Return each generated file by its path."""
    written, read = of_sres(config), contracts.load()
    content = {
        "access.yaml": text(
            "The callers that the contracts grant to each method. mesh/config denies the rest.",
            access.policies(read),
        ),
        "routes.yaml": text(
            "The rules of mesh/config for each service, with the timeouts of the contracts.\n"
            "Each VirtualService replaces the one of mesh/config that has its name.",
            routes.virtual_services(read, written),
        ),
        "edge.yaml": text(
            "The gateway's routes and access rules, from the contracts and EdgePolicy.",
            edge.kinds(read, written),
        ),
        "breakers.yaml": text(
            "The longest time that a circuit breaker stays open, from mesh/config.",
            breakers.filters(written),
        ),
        "credentials.yaml": text(
            "The workloads whose sidecars get a client certificate for a partner.\n"
            "The permission includes all secrets of the namespace.",
            credentials.permissions(written),
        ),
        "mesh-config.yaml": text("The settings of the whole mesh.", [settings.mesh_config()]),
    }
    return {FOLDER / name: each for name, each in content.items()}


def of_sres(config: Path) -> list[Kind]:
    """Return the resources of mesh/config as YAML has them; mesh.ctl checks them."""
    found: list[Any] = []
    for path in sorted(config.rglob("*.yaml")):
        found.extend(each for each in yaml.safe_load_all(path.read_text()) if each)
    return found
