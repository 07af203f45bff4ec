"""Builds etcd, kube-apiserver, istiod and istioctl from their Go modules, once, into a cache.

Go's checksum database verifies the sources. The builds run at low priority and one after another:
half an hour on two cores, three gigabytes of Go's own caches.
"""

import os
import re
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

ISTIO = "v0.0.0-20260827124520-eed52ebb66ad"
"""A commit of Istio 1.31; Istio's releases have no tags that Go's proxy knows."""
KUBERNETES = "1.34.4"
_LINK = "-s -w"
_STAGING = re.compile(r"^\t(k8s\.io/[a-z-]+) => \./staging/", re.MULTILINE)


@dataclass(frozen=True)
class Program:
    """One program: the module and version, the package, and values to link in."""

    name: str
    module: str
    version: str
    package: str
    values: Mapping[str, str] = field(default_factory=dict[str, str])
    staged: bool = False
    """Whether the module's go.mod replaces modules by folders, as Kubernetes does."""


PROGRAMS = (
    Program("etcd", "go.etcd.io/etcd/server/v3", "v3.6.16", "go.etcd.io/etcd/server/v3"),
    Program("pilot-discovery", "istio.io/istio", ISTIO, "istio.io/istio/pilot/cmd/pilot-discovery"),
    Program("istioctl", "istio.io/istio", ISTIO, "istio.io/istio/istioctl/cmd/istioctl"),
    Program(
        "kube-apiserver",
        "k8s.io/kubernetes",
        f"v{KUBERNETES}",
        "k8s.io/kubernetes/cmd/kube-apiserver",
        # Without them the server calls itself version 0.0 and refuses every feature gate.
        {
            "k8s.io/component-base/version.gitVersion": f"v{KUBERNETES}",
            "k8s.io/component-base/version.gitMajor": KUBERNETES.split(".")[0],
            "k8s.io/component-base/version.gitMinor": KUBERNETES.split(".")[1],
        },
        staged=True,
    ),
)


def cache() -> Path:
    """Return the folder of the built programs."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home, "bp", "conformance")


def missing() -> list[Program]:
    """Return the programs that are not built yet."""
    return [each for each in PROGRAMS if not (cache() / each.name).exists()]


def build(say: Callable[[str], None]) -> None:
    """Build what is missing."""
    for program in missing():
        begun = time.monotonic()
        say(f"building {program.name} {program.version}")
        _build(program)
        say(f"built {program.name} in {time.monotonic() - begun:.0f} s")


def crds() -> Path:
    """Return the file with Istio's CustomResourceDefinitions, from the module's own source."""
    source = _go("list", "-m", "-f", "{{.Dir}}", "istio.io/istio", at=_module(PROGRAMS[1]))
    return Path(source) / "manifests" / "charts" / "base" / "files" / "crd-all.gen.yaml"


def _build(program: Program) -> None:
    folder = _module(program)
    made = folder / program.name
    values = " ".join(f"-X {name}={value}" for name, value in program.values.items())
    options = ("-trimpath", f"-ldflags={_LINK} {values}", "-o", str(made))
    _go("build", *options, program.package, at=folder)
    made.rename(cache() / program.name)


def _module(program: Program) -> Path:
    """Return a scratch module that requires the program's module."""
    folder = cache() / "build" / program.module.replace("/", "-")
    if (folder / "go.sum").exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "go.mod").write_text("module conformance\n")
    if program.staged:
        for name in _STAGING.findall(_mod_file(program, folder).read_text()):
            version = program.version.replace("v1.", "v0.", 1)
            _go("mod", "edit", f"-replace={name}={name}@{version}", at=folder)
    _go("get", f"{program.package}@{program.version}", at=folder)
    return folder


def _mod_file(program: Program, folder: Path) -> Path:
    form = "-f={{.GoMod}}"
    return Path(_go("list", "-m", form, f"{program.module}@{program.version}", at=folder))


def _go(*arguments: str, at: Path) -> str:
    environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=mod -p=2"}
    done = subprocess.run(
        ["nice", "-n", "19", "go", *arguments],
        cwd=at,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"go {' '.join(arguments)} failed:\n{done.stderr[-2000:]}")
    return done.stdout.strip()
