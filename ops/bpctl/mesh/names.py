"""The names that a shell completes: services, partners, proxies, instances, methods.

A completion prints no error and never takes long: it reads files of the bank and the repository,
and asks no process.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import typer

from mesh.pilot.places import folder_name
from ops import bank_home


def _endpoints() -> dict[str, Any]:
    try:
        return json.loads((bank_home.named() / "mesh" / "endpoints.json").read_bytes())
    except (OSError, ValueError):
        return {}


def services() -> list[str]:
    """Return the services of the mesh."""
    return sorted(_endpoints().get("services", {}))


def instances() -> list[str]:
    """Return all instances, such as customers-0."""
    found: list[str] = []
    for name, place in _endpoints().get("services", {}).items():
        listed: list[dict[str, Any]] = place.get("instances", [{}])
        found += [f"{name}-{each.get('number', at)}" for at, each in enumerate(listed)]
    return sorted(found)


def proxies() -> list[str]:
    """Return the names of all proxies: the first one of a service has the service's name."""
    gateway = ["gateway"] if "gateway" in _endpoints() else []
    return sorted([*(folder_name(each) for each in instances()), *gateway])


def partners() -> list[str]:
    """Return the partners by the names of their files."""
    folder = bank_home.named() / "mesh" / "config" / "partners"
    return sorted(each.stem for each in folder.glob("*.yaml"))


def methods(service: str) -> list[str]:
    """Return the names of a service's methods, or of all services' for ""."""
    from services import contracts

    found = contracts.load().values()
    return sorted(each.name for each in found if service in ("", each.deployable))


def _starting(names: Iterable[str], incomplete: str) -> list[str]:
    return [each for each in names if each.startswith(incomplete)]


def complete_services(_: typer.Context, incomplete: str) -> list[str]:
    """Complete a service."""
    return _starting(services(), incomplete)


def complete_instances(_: typer.Context, incomplete: str) -> list[str]:
    """Complete an instance."""
    return _starting(instances(), incomplete)


def complete_proxies(_: typer.Context, incomplete: str) -> list[str]:
    """Complete a proxy."""
    return _starting(proxies(), incomplete)


def complete_targets(_: typer.Context, incomplete: str) -> list[str]:
    """Complete a service or a partner."""
    return _starting([*services(), *partners()], incomplete)


def complete_methods(context: typer.Context, incomplete: str) -> list[str]:
    """Complete a method of the service that the command names."""
    # Behind an unfinished option, the words before it are not parsed yet.
    words = (context.params.get("what"), context.params.get("callee"), *context.args)
    named = next((str(each) for each in words if each in services()), "")
    return _starting(methods(named), incomplete)
