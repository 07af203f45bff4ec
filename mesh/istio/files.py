"""The files of k8s/base/mesh/ and their content."""

from pathlib import Path
from typing import Any

import yaml

from mesh.ctl import load_mesh
from mesh.istio import (
    access,
    bootstrap,
    certificates,
    clusters,
    edge,
    edge_filters,
    edge_routes,
    places,
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
    mesh, passed_on = load_mesh(config, places.invented(written))
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
        "edge-filters.yaml": text(
            "The gateway's limits and filters, for which Istio has no kind, from EdgePolicy and\n"
            "the contracts: token buckets, sizes, request check, transcoding, error replies.",
            edge_filters.filters(mesh.edge, passed_on),
        ),
        "edge-routes.yaml": text(
            "What the gateway's filters read from the routes of edge.yaml.",
            edge_routes.filters(mesh.edge),
        ),
        "edge-bootstrap.yaml": text(
            "The memory limit of the gateway's proxy, which its bootstrap has to contain.",
            [bootstrap.config_map(mesh.edge)],
        ),
        "clusters.yaml": text(
            "How long a circuit breaker stays open, and the HTTP version to partners.",
            clusters.filters(mesh),
        ),
        "certificates.yaml": text(_mounts(written), certificates.kinds(written)),
        "mesh-config.yaml": text(
            "The settings of the whole mesh.", [settings.mesh_config(mesh.edge, passed_on)]
        ),
    }
    return {FOLDER / name: each for name, each in content.items()}


def _mounts(written: list[Kind]) -> str:
    lines = [
        f"  {workload}: {', '.join(names)}"
        for workload, names in certificates.mounted(written).items()
    ]
    return "\n".join(
        [
            "Certificates of proxies as mounted files, so that no pod may read secrets by the API.",
            "Each resource replaces the one of mesh/config that has its name.",
            f"Each of these pods mounts the secrets of its credentials in {certificates.FOLDER}:",
            *lines,
        ]
    )


def of_sres(config: Path) -> list[Kind]:
    """Return the resources of mesh/config as YAML has them; mesh.ctl checks them."""
    found: list[Any] = []
    for path in sorted(config.rglob("*.yaml")):
        found.extend(each for each in yaml.safe_load_all(path.read_text()) if each)
    return found
