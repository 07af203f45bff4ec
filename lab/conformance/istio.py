"""Gives Istio the mesh's files: what it refuses, what it warns of, and what it translates."""

import json
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from lab.conformance import builds, objects
from lab.conformance.api import Api, Refusal
from lab.conformance.discovery import CLUSTER, LISTENER, ROUTES, Node, fetched
from lab.conformance.facts.proxy import Proxy, proxy
from lab.conformance.processes import Cluster, Istiod
from mesh.istio import bootstrap
from ops.waiting import until
from services.contracts import GATEWAY

REPO = Path(__file__).resolve().parents[2]
CONFIG = REPO / "mesh" / "config"
DERIVED = REPO / "k8s" / "base" / "mesh"
Kind = dict[str, Any]
_PUSH_S = 60


@dataclass
class Files:
    """The resources of mesh/config and k8s/base/mesh."""

    config: Path = CONFIG
    derived: Path = DERIVED
    paths: list[Path] = field(init=False)

    def __post_init__(self) -> None:
        """List the files; those of k8s/base/mesh come last, because they replace resources."""
        self._by_sres = sorted(self.config.rglob("*.yaml"))
        self.paths = [*self._by_sres, *sorted(self.derived.rglob("*.yaml"))]

    def of_sres(self) -> list[Kind]:
        """Return the resources of mesh/config."""
        return [each for path in self._by_sres for each in yaml.safe_load_all(path.read_text())]

    def resources(self) -> list[Kind]:
        """Return all resources, definitions of kinds first."""
        read = [each for path in self.paths for each in yaml.safe_load_all(path.read_text())]
        return sorted(read, key=lambda each: each["kind"] != "CustomResourceDefinition")

    def edge_policy(self) -> Any:
        """Return the bank's own kind, which Istio does not read."""
        (found,) = [each["spec"] for each in self.of_sres() if each["kind"] == "EdgePolicy"]
        return found

    def bootstrap(self) -> Any:
        """Return what Istio's agent adds to the bootstrap of the gateway's proxy."""
        named = {each["metadata"]["name"]: each for each in self.resources()}
        return json.loads(named[bootstrap.NAME]["data"][bootstrap.FILE])


async def applied(api: Api, files: Files) -> list[Refusal]:
    """Apply what a cluster has, then the mesh's files; return what the API server refuses."""
    refused: list[Refusal] = []

    async def apply(resources: Iterable[Kind]) -> None:
        for each in resources:
            refusal = await api.apply(each)
            if refusal:
                refused.append(refusal)
            if each["kind"] == "CustomResourceDefinition":
                await api.established(each["metadata"]["name"])

    await apply(objects.namespaces())
    await apply(yaml.safe_load_all(builds.crds().read_text()))
    for each in objects.workloads():
        await apply([each])
        if each["kind"] == "Pod":
            refusal = await api.apply(each, part="status")
            if refusal:
                refused.append(refusal)
    await apply(objects.credentials(files.of_sres()))
    await apply(files.resources())
    return refused


async def changed(api: Api, istiod: Istiod, files: Files, route: str) -> None:
    """Apply changed files, and wait until istiod sends a route with this name."""
    for each in files.resources():
        if refusal := await api.apply(each):
            raise RuntimeError(f"{refusal.resource}: {refusal.reason}")
    await until(lambda: _sends(istiod, route, wanted=True), _PUSH_S, f"the route {route}")


async def restored(api: Api, istiod: Istiod, files: Files, instead_of: Files) -> None:
    """Apply the files again, and delete the resources that only the other files have."""
    kept = {_key(each) for each in files.resources()}
    for each in instead_of.resources():
        if _key(each) not in kept:
            await api.delete(each)
    for each in files.resources():
        await api.apply(each)
    await until(lambda: _sends(istiod, "canary", wanted=False), _PUSH_S, "the former routes")


def _key(resource: Kind) -> tuple[str, str]:
    return resource["kind"], resource["metadata"]["name"]


async def _sends(istiod: Istiod, route: str, *, wanted: bool) -> bool:
    name = "payments"
    sent = await fetched(istiod.plain, Node(name, objects.address(objects.WORKLOADS.index(name))))
    return (f"'name': '{route}'" in str(sent[ROUTES])) is wanted


def findings(files: Files, cluster: Cluster) -> list[str]:
    """Return what `istioctl validate` and `istioctl analyze` find."""
    named = [part for path in files.paths for part in ("-f", str(path))]
    said = _istioctl("validate", *named)
    found = [line for line in said.splitlines() if line and not _accepted(line)]
    # Silence is no verdict: each file has to be named, and the cluster has to be found clean.
    found += [f"istioctl did not validate {each}" for each in files.paths if str(each) not in said]
    said = _istioctl("analyze", "--all-namespaces", f"--kubeconfig={cluster.kubeconfig}")
    clean = "No validation issues found" in said
    return found if clean else [*found, *(said.splitlines() or ["istioctl analyze said nothing"])]


def _accepted(line: str) -> bool:
    """Return whether a line reports no fault, or the one warning that every EnvoyFilter gets."""
    endings = (" is valid", " has warnings: ")
    return line.endswith(endings) or "EnvoyFilter exposes internal implementation" in line


def _istioctl(*arguments: str) -> str:
    program = builds.cache() / "istioctl"
    command = [str(program), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


async def proxies(istiod: Istiod) -> dict[str, Proxy]:
    """Return the configuration that istiod makes for one proxy of each workload."""
    found: dict[str, Proxy] = {}
    for number, name in enumerate(objects.WORKLOADS):
        node = Node(name, objects.address(number), router=name == GATEWAY)
        sent = await fetched(istiod.plain, node)
        found[name] = proxy(name, sent[LISTENER], sent[ROUTES], sent[CLUSTER])
    return found
