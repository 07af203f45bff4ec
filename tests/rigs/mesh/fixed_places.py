"""A mesh without processes: the bank's own config and contracts with invented addresses."""

from pathlib import Path

from mesh.controlplane import model
from mesh.controlplane.deliver.files import file_source
from mesh.controlplane.ingest import documents, resources, telemetry
from mesh.controlplane.ingest.endpoints import Endpoints
from mesh.controlplane.passed_on import PassedOn
from mesh.controlplane.resolve.mesh import Inputs, resolve
from mesh.controlplane.translate.parts import SecretSource
from mesh.ctl import CONFIG
from services import contracts

SERVICES = ("audit", "auth", "customers", "notifications", "payments", "transfers")
PARTNERS = (
    "ach-network.example",
    "fraud.example",
    "fcm.googleapis.com",
    "oauth2.googleapis.com",
    "oauth.example",
    "sms-gateway.example",
    "rekognition.us-east-1.amazonaws.com",
)

SIMPLE = ("fraud", "fcm", "oauth", "sms", "rekognition")
"""The credentialNames without a client certificate."""


def endpoints(*, without: str = "") -> Endpoints:
    """Return the addresses; `without` leaves out one partner."""
    return Endpoints.model_validate(
        {
            "services": {
                name: {
                    "mtls": f"127.0.0.1:{21000 + number}",
                    "app_sockets": [f"/bp/run/{name}/in-0.sock", f"/bp/run/{name}/in-1.sock"],
                    "outbound_socket": f"/bp/run/{name}/out.sock",
                    "admin_socket": f"/bp/run/{name}/admin.sock",
                }
                for number, name in enumerate(SERVICES)
            },
            "gateway": {"listen": "127.0.0.1:8443", "admin_socket": "/bp/run/gateway/admin.sock"},
            "partners": {
                host: f"127.0.0.1:{23000 + number}"
                for number, host in enumerate(PARTNERS)
                if host != without
            },
            "certs_dir": "/bp/certs",
            "webhook_ca": "/bp/partners/webhooks-ca.pem",
            "credentials": {
                **{n: {"ca": f"/bp/partners/{n}-ca.pem"} for n in SIMPLE},
                "ach-network-client": {
                    "ca": "/bp/partners/ach-ca.pem",
                    "client": {"cert": "/bp/partners/c.pem", "key": "/bp/partners/c.key"},
                },
            },
        }
    )


def inputs(config: Path = CONFIG, *, without: str = "") -> Inputs:
    """Return everything from which a mesh is built."""
    return Inputs(
        resources.parse(documents.read_folder(config)),
        contracts.load(),
        endpoints(without=without),
    )


def mesh() -> model.Mesh:
    """Return the bank's own mesh."""
    return resolve(inputs())


def passed_on() -> PassedOn:
    """Return the text in the bank's own config that only Envoy parses."""
    return telemetry.passed_on(resources.parse(documents.read_folder(CONFIG)))


def sources(workload: model.Workload) -> SecretSource:
    """Return the sources of secrets, with the paths that the delivery by files uses."""
    return lambda name: (
        file_source(Path(f"/bp/envoy/{workload.name}/sds/{name}.json"))
        if name in workload.rotating
        else None
    )
