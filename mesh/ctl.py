"""Checks a configuration without a bank: `python -m mesh.ctl check`, or `bpctl mesh check`."""

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from mesh.controlplane import model
from mesh.controlplane.deliver import files, validation
from mesh.controlplane.deliver.snapshot import Snapshot, SnapshotFault, snapshots
from mesh.controlplane.ingest import documents, endpoints, resources, telemetry
from mesh.controlplane.ingest.faults import ConfigFault, Fault, Faults, Findings, MeshFault
from mesh.controlplane.passed_on import PassedOn
from mesh.controlplane.resolve.mesh import Inputs, resolve
from mesh.controlplane.resolve.places import SERVICE_HOSTS
from mesh.controlplane.resolve.traffic import rule_of
from services import contracts

CONFIG = Path(__file__).with_name("config")
FAULTS = (
    *(ConfigFault, MeshFault, Faults, SnapshotFault),
    *(contracts.ContractError, validation.ValidatorMissing),
)
_LOG_ALL = "true"


def load_mesh(config: Path, places: endpoints.Endpoints) -> tuple[model.Mesh, PassedOn]:
    """Read everything; return the model and the text that Envoy gets unchanged."""
    findings = Findings()
    return _model(_parsed(config, findings), places, findings)


def _parsed(config: Path, findings: Findings) -> list[resources.Resource]:
    return resources.parse(documents.read_folder(config, findings), findings)


def _model(
    parsed: list[resources.Resource], places: endpoints.Endpoints, findings: Findings
) -> tuple[model.Mesh, PassedOn]:
    text, later = list[PassedOn](), Findings()
    with later.noted():
        text.append(telemetry.passed_on(parsed))
    mesh = resolve(Inputs(parsed, contracts.load(), places), findings.followed_by(later))
    return mesh, text[0]


def render(config: Path, places_file: Path, out: Path) -> list[Path]:
    """Write the folder of every proxy; return the files that changed."""
    return files.write(rendered(config, places_file, out).values(), out.absolute())


def rendered(config: Path, places_file: Path, out: Path) -> Mapping[str, Snapshot]:
    """Return the resources of every proxy for the folder `out`, and write nothing."""
    mesh, passed_on = load_mesh(config, endpoints.read(places_file))
    return snapshots(mesh, passed_on, files.secret_files(out.absolute()))


def check(config: Path) -> int:
    """Translate with placeholder addresses and have Envoy validate the result.

    Returns the number of proxies. Takes 0.15 s for each of them.
    """
    if not documents.files_of(config):
        raise MeshFault(f"{config} has no *.yaml file; name another folder")
    read, findings = Findings(), Findings()
    parsed = _parsed(config, read)
    made = list[tuple[model.Mesh, PassedOn]]()
    with tempfile.TemporaryDirectory(prefix="bp-mesh-") as name:
        folder = Path(name)
        with findings.noted():
            made.append(_model(parsed, any_places(), read))
        refused = _refused_expressions(parsed, folder)
        proxies = 0
        for mesh, passed_on in made:
            text = PassedOn(_LOG_ALL) if refused else passed_on
            translated = snapshots(mesh, text, validation.unread_secrets(folder))
            proxies = len(translated)
            for proxy, snapshot in translated.items():
                for each in validation.refusals(snapshot, folder):
                    findings.add(refusal_fault(parsed, proxy, each))
    for fault in refused:
        findings.add(fault)
    findings.end()
    return proxies


def _refused_expressions(parsed: list[resources.Resource], folder: Path) -> list[ConfigFault]:
    return [
        telemetry.expression_fault(resource, f"Envoy refuses the expression: {reason}")
        for resource, expression in telemetry.expressions(parsed)
        if (reason := validation.expression_refusal(expression, folder))
    ]


def refusal_fault(
    parsed: list[resources.Resource], proxy: str, refusal: validation.Refusal
) -> Fault:
    """Return Envoy's refusal; for a cluster, at the line of the host's DestinationRule."""
    problem = f"{proxy}: Envoy refuses the {refusal.kind} {refusal.name}: {refusal.reason}"
    sort, _, name = refusal.name.partition("/")
    host = f"{name}{SERVICE_HOSTS}" if sort == "service" else name
    rule = rule_of(parsed, host) if refusal.kind == "cluster" else None
    return rule.fault(("spec", "trafficPolicy"), problem) if rule else MeshFault(problem)


def any_places() -> endpoints.Endpoints:
    """Return addresses for a check without a bank."""
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
        "sms-gateway.example",
        "rekognition.us-east-1.amazonaws.com",
    )
    simple = ("fraud", "fcm", "oauth", "sms", "rekognition")
    return endpoints.Endpoints.model_validate(
        {
            "services": dict.fromkeys(names, service),
            "gateway": {"listen": "127.0.0.1:1", "admin_socket": "/run/admin.sock"},
            "partners": dict.fromkeys(hosts, "127.0.0.1:1"),
            "certs_dir": "/certs",
            "webhook_ca": "/partners/webhooks-ca.pem",
            "credentials": {
                **{name: {"ca": f"/partners/{name}-ca.pem"} for name in simple},
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
    parser.add_argument("command", choices=["check"])
    parser.add_argument("--config", type=Path, default=CONFIG)
    given = parser.parse_args(arguments)
    try:
        proxies = check(given.config)
    except FAULTS as fault:
        sys.stderr.write(f"{fault}\n")
        return 1
    sys.stdout.write(json.dumps({"ok": True, "proxies": proxies}) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
