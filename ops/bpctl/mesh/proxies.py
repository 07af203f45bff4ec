"""`bpctl mesh proxy-status | proxy-config`: what proxies have and acknowledge."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from mesh.pilot.places import folder_name
from ops.bpctl import connections
from ops.bpctl.connections import fail
from ops.bpctl.mesh import pilot
from ops.bpctl.mesh.config_dump import Held, addresses, held
from ops.bpctl.mesh.names import complete_proxies
from ops.bpctl.mesh.options import Json
from ops.bpctl.transfers import table
from ops.display import visible

IN_SYNC = "SYNCED"
INSTANCE = "-0"
KINDS = {
    "SECRET": "sds",
    "CLUSTER": "cds",
    "ENDPOINTS": "eds",
    "LISTENER": "lds",
    "ROUTES": "rds",
    "EXTENSION": "ecds",
}
"""Each kind and the name of its discovery service, in the order of the table."""


def register(group: typer.Typer) -> None:
    """Add the commands."""
    group.command("proxy-status")(proxy_status)
    group.command("proxy-config")(proxy_config)


def proxy_status(
    proxy: Annotated[
        str, typer.Argument(help="One proxy; without it, all.", autocompletion=complete_proxies)
    ] = "",
    as_json: Json = False,
) -> None:
    """Show for each proxy and kind of resource whether it has what is in force.

    SYNCED, STALE (sent or waiting, not acknowledged yet), NACKED (refused), NEVER ACKED (connected,
    nothing acknowledged yet), NOT CONNECTED (stopped, or runs on files), PINNED (started from an
    altered copy, gets no updates).

    Below the table are Envoy's reasons, edits in place that are not in force, and damaged files.
    Exit code 1 if there is one of them, or if a proxy is not in sync.

    Example: bpctl mesh proxy-status payments
    """
    found = [
        each
        for each in pilot.get("/v1/proxies")["proxies"]
        if proxy in ("", each["node"], each["node"].removesuffix(INSTANCE))
    ]
    state = pilot.get("/v1/state")
    notes = {name: state[name] for name in ("findings", "reports")}
    if as_json:
        pilot.say_json({"proxies": found, **notes})
    else:
        _show(found)
        pilot.say_notes(state)
    good = found and all(_in_sync(each) for each in found) and not any(notes.values())
    raise typer.Exit(0 if good else 1)


def _in_sync(proxy: dict[str, Any]) -> bool:
    return all(each["state"] == IN_SYNC for each in proxy["kinds"].values())


def _show(found: list[dict[str, Any]]) -> None:
    rows = [_status_row(each) for each in found]
    table("Proxies", rows, ("proxy", "state", *KINDS.values()))
    for each in found:
        if each["pinned_since_s"] is not None:
            since = datetime.fromtimestamp(float(each["pinned_since_s"]), UTC)
            text = f"{each['node']} is PINNED to another bootstrap since {since:%Y-%m-%d %H:%M:%S}Z"
            how = f"remove BP_HOME/envoy/{folder_name(each['node'])}/pinned, then restart it"
            typer.echo(visible(f"{text} and gets no updates; to end this, {how}"))
        for kind, state in each["kinds"].items():
            if state.get("error"):
                names = ", ".join(state.get("refused", []))
                text = f"{each['node']} refuses {kind.lower()} {names}: {state['error']}"
                typer.echo(visible(text))


def _status_row(proxy: dict[str, Any]) -> dict[str, Any]:
    """Return the worst state of a proxy, and the state of each kind if it is connected."""
    kinds = {
        name: proxy["kinds"][kind]["state"] if proxy["streams"] else ""
        for kind, name in KINDS.items()
    }
    return {"proxy": proxy["node"], "state": proxy["state"], **kinds}


class Part(StrEnum):
    """The kinds of resources of `proxy-config`."""

    LISTENERS = "listeners"
    ROUTES = "routes"
    CLUSTERS = "clusters"
    ENDPOINTS = "endpoints"
    SECRETS = "secrets"
    EXTENSIONS = "extensions"
    ALL = "all"


_PARTS = {
    Part.LISTENERS: "LISTENER",
    Part.ROUTES: "ROUTES",
    Part.CLUSTERS: "CLUSTER",
    Part.ENDPOINTS: "ENDPOINTS",
    Part.SECRETS: "SECRET",
    Part.EXTENSIONS: "EXTENSION",
}


def proxy_config(
    proxy: Annotated[
        str,
        typer.Argument(
            help="A proxy, such as payments or gateway.", autocompletion=complete_proxies
        ),
    ],
    part: Annotated[Part, typer.Argument(help="Which resources.")] = Part.ALL,
    as_json: Json = False,
) -> None:
    """Compare what a proxy should have with what Envoy says that it has.

    With --json, the whole resources as Envoy shows them. Exit code 1 if there is a difference.

    Example: bpctl mesh proxy-config payments clusters
    """
    node = node_name(proxy)
    wanted = pilot.get(f"/v1/proxies/{node}")
    found = held(_dump(node.removesuffix(INSTANCE)))
    kinds = list(_PARTS.values()) if part is Part.ALL else [_PARTS[part]]
    rows = [row for kind in kinds for row in compared(kind, wanted, found)]
    if as_json:
        shown = [each.content for each in found if each.kind in kinds]
        pilot.say_json({"proxy": node, "comparison": rows, "resources": shown})
    else:
        table(f"Resources of {node}", rows, ("kind", "name", "state", "in_force", "in_envoy"))
    raise typer.Exit(0 if all(row["state"] == "same" for row in rows) else 1)


def node_name(proxy: str) -> str:
    """Return the id of a proxy, which a service's name alone means for its first instance."""
    return proxy if proxy.rpartition("-")[2].isdigit() else f"{proxy}{INSTANCE}"


def compared(kind: str, wanted: dict[str, Any], found: list[Held]) -> list[dict[str, str]]:
    """Return a row for each resource of one kind that should be, or is, in the proxy."""
    should: dict[str, Any] = wanted["resources"][kind]
    versions: dict[str, str] = wanted["versions"][kind]
    has = {each.name: each for each in found if each.kind == kind}
    return [
        _row(kind, name, versions.get(name, ""), should.get(name), has.get(name))
        for name in sorted(should.keys() | has.keys())
    ]


def _row(
    kind: str, name: str, version: str, should: dict[str, Any] | None, has: Held | None
) -> dict[str, str]:
    in_force, in_envoy = version, has.version if has else ""
    if kind == "ENDPOINTS":
        in_force = ", ".join(addresses(should)) if should else ""
        in_envoy = ", ".join(addresses(has.content)) if has else ""
    if has is None:
        state = "missing"
    elif should is None:
        state = "extra"
    elif has.warming:
        state = "warming"
    else:
        state = "same" if in_force == in_envoy else "differs"
    return {
        "kind": kind.lower(),
        "name": name,
        "state": state,
        "in_force": in_force,
        "in_envoy": in_envoy,
    }


def _dump(workload: str) -> dict[str, Any]:
    """Return Envoy's own config_dump; exit with code 3 if the proxy does not run."""
    run = Path(connections.addresses()["BP_RUN"])
    socket = run / workload / "admin.sock"
    if not socket.exists():
        fail(
            f"The proxy of {visible(workload)} does not run. {connections.CHECK}", connections.AWAY
        )
    return connections.call_socket(socket, "GET", "/config_dump?include_eds")
