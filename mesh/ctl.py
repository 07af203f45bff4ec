"""The mesh's command line: `render` writes Envoy's files, `check` validates without writing.

python -m mesh.ctl render --endpoints .bp/mesh/endpoints.json --out .bp/envoy
python -m mesh.ctl check
"""

import argparse
import json
import os
import sys
from pathlib import Path

from mesh.controlplane import model
from mesh.controlplane.deliver import files
from mesh.controlplane.deliver.snapshot import SnapshotFault, snapshots
from mesh.controlplane.ingest import documents, endpoints, resources, telemetry
from mesh.controlplane.ingest.faults import ConfigFault, MeshFault
from mesh.controlplane.passed_on import PassedOn
from mesh.controlplane.resolve.mesh import Inputs, resolve
from services import contracts

CONFIG = Path(__file__).with_name("config")
_FAULTS = (ConfigFault, MeshFault, SnapshotFault, contracts.ContractError)


def load_mesh(config: Path, places: endpoints.Endpoints) -> tuple[model.Mesh, PassedOn]:
    """Read everything; return the model and the text that Envoy gets unparsed."""
    parsed = resources.parse(documents.read_folder(config))
    mesh = resolve(Inputs(parsed, contracts.load(), places))
    return mesh, telemetry.passed_on(parsed)


def render(config: Path, places_file: Path, out: Path) -> list[Path]:
    """Write the folder of every proxy; return the files that changed."""
    mesh, passed_on = load_mesh(config, endpoints.read(places_file))
    made = snapshots(mesh, passed_on, files.secret_files(out.absolute()))
    return files.write(made.values(), out.absolute())


def check(config: Path) -> int:
    """Translate with placeholder addresses; return the number of proxies."""
    mesh, passed_on = load_mesh(config, _any_places())
    return len(snapshots(mesh, passed_on, files.secret_files(Path("/nowhere"))))


def _any_places() -> endpoints.Endpoints:
    names = sorted(contracts.deployables(contracts.load()))
    service = {
        "mtls": "127.0.0.1:1",
        "app_sockets": ["/run/in.sock"],
        "outbound_socket": "/run/out.sock",
        "admin_socket": "/run/admin.sock",
    }
    hosts = (
        "ach-network.example",
        "fraud.example",
        "fcm.googleapis.com",
        "oauth2.googleapis.com",
        "oauth.example",
    )
    return endpoints.Endpoints.model_validate(
        {
            "services": dict.fromkeys(names, service),
            "gateway": {"listen": "127.0.0.1:1", "admin_socket": "/run/admin.sock"},
            "partners": dict.fromkeys(hosts, "127.0.0.1:1"),
            "certs_dir": "/certs",
            "webhook_ca": "/partners/webhooks-ca.pem",
            "credentials": {
                **{name: {"ca": f"/partners/{name}-ca.pem"} for name in ("fraud", "fcm", "oauth")},
                "ach-network-client": {
                    "ca": "/partners/ach-ca.pem",
                    "client": {"cert": "/partners/c.pem", "key": "/partners/c.key"},
                },
            },
        }
    )


def main(arguments: list[str] | None = None) -> int:
    """Run a command; return 0, or 1 with the error on standard error."""
    parser = argparse.ArgumentParser(prog="python -m mesh.ctl", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    rendering = commands.add_parser("render", help="write Envoy's files")
    home = Path(os.environ.get("BP_HOME", ".bp"))
    rendering.add_argument("--home", type=Path, default=home)
    rendering.add_argument("--endpoints", type=Path)
    rendering.add_argument("--out", type=Path)
    checking = commands.add_parser("check", help="validate config and contracts")
    for command in (rendering, checking):
        command.add_argument("--config", type=Path, default=CONFIG)
    given = parser.parse_args(arguments)
    try:
        if given.command == "check":
            said: dict[str, object] = {"ok": True, "proxies": check(given.config)}
        else:
            places = given.endpoints or given.home / "mesh" / "endpoints.json"
            changed = render(given.config, places, given.out or given.home / "envoy")
            said = {"changed": [str(path) for path in changed]}
    except _FAULTS as fault:
        sys.stderr.write(f"{fault}\n")
        return 1
    sys.stdout.write(json.dumps(said) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
