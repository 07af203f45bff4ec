"""Proxies as the control plane configures them: from files."""

import json
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from lab.conformance.calls.machine import CALLED, CALLER, CREDENTIAL, ISSUER, PARTNER, Machine
from lab.conformance.istio import Files
from lab.conformance.processes import envoy
from mesh import ctl
from mesh.istio import places
from services.contracts import GATEWAY


@contextmanager
def proxies(machine: Machine, files: Files) -> Generator[None]:
    """Run the proxies of the caller, the called service and the gateway until the block ends."""
    written = machine.folder / "endpoints.json"
    written.write_text(json.dumps(_places(machine, files)))
    out = machine.folder / "envoy"
    ctl.render(files.config, written, out)
    with ExitStack() as stack:
        for name in (CALLED, CALLER, GATEWAY):
            log = machine.folder / f"ours-{name}.log"
            stack.enter_context(envoy(out / name / "bootstrap.json", log))
        yield


def _places(machine: Machine, files: Files) -> dict[str, object]:
    found = json.loads(places.invented(files.of_sres()).model_dump_json())
    found["certs_dir"] = str(machine.certificates)
    for name in (CALLER, CALLED):
        found["services"][name] = {
            "mtls": machine.called if name == CALLED else f"{machine.address}:8444",
            "app_sockets": [str(machine.socket(name, "in"))],
            "outbound_socket": str(machine.socket(name, "out")),
            "admin_socket": str(machine.socket(name, "admin")),
        }
    found["gateway"]["listen"] = machine.edge
    found["gateway"]["admin_socket"] = str(machine.socket(GATEWAY, "admin"))
    found["partners"][ISSUER] = f"127.0.0.1:{machine.issuer_port}"
    found["partners"][PARTNER] = f"127.0.0.1:{machine.partner_port}"
    found["credentials"][CREDENTIAL]["ca"] = str(machine.partner.pem)
    return {**found, "webhook_ca": str(machine.webhooks.pem), **_filled(machine, found)}


def _filled(machine: Machine, found: dict[str, dict[str, dict[str, object]]]) -> dict[str, object]:
    """Give the partners that nothing calls here a certificate that exists."""
    own = machine.certificates / CALLER
    files = {"cert": str(own / "cert.pem"), "key": str(own / "key.pem")}
    filled = {
        name: {"ca": str(machine.partner.pem), "client": files if each.get("client") else None}
        for name, each in found["credentials"].items()
    }
    return {"credentials": filled}


def log_of(machine: Machine, name: str) -> Path:
    """Return the log of a proxy."""
    return machine.folder / f"ours-{name}.log"
