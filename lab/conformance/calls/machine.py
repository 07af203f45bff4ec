"""The addresses, folders and certificates of the proxies of one run; everything is on loopback."""

import secrets
from dataclasses import dataclass, field
from pathlib import Path

from lab.conformance.calls.tokens import Issuer
from lab.conformance.certificates import Authority
from lab.conformance.objects import PORT
from lab.conformance.processes import free_port
from services.contracts import spiffe_id

CALLER, CALLED = "payments", "customers"
PARTNER = "fraud.example"
CREDENTIAL = "fraud"
ISSUER, ISSUER_CREDENTIAL = "oauth.example", "oauth"
WEBHOOKS = "spiffe://sms-gateway.example/webhooks"


@dataclass
class Machine:
    """One folder with everything. `payments` and the gateway call `customers`."""

    folder: Path
    mesh: Authority = field(init=False)
    partner: Authority = field(init=False)
    webhooks: Authority = field(init=False)
    issuer: Issuer = field(default_factory=Issuer)
    partner_port: int = field(default_factory=free_port)
    issuer_port: int = field(default_factory=free_port)
    edge_port: int = field(default_factory=free_port)
    address: str = field(init=False)
    """A loopback address of its own, because Istio's listener has a fixed port."""

    def __post_init__(self) -> None:
        """Issue the certificates."""
        self.mesh = Authority("mesh", self.folder / "pki")
        self.partner = Authority("partner", self.folder / "pki")
        self.address = f"127.{1 + secrets.randbelow(254)}.{secrets.randbelow(256)}.1"
        for name in (CALLER, CALLED, "gateway", "edge"):
            self.mesh.issue(self.certificates / name, uri=spiffe_id(name))
        self.partner.issue(self.folder / "partner", dns=(PARTNER, ISSUER))
        self.webhooks = Authority("webhooks", self.folder / "pki")
        self.webhooks.issue(self.certificates / "webhook", uri=WEBHOOKS)

    @property
    def certificates(self) -> Path:
        """The folder of the workloads' certificates."""
        return self.folder / "certs"

    @property
    def called(self) -> str:
        """host:port of the called workload's proxy."""
        return f"{self.address}:{PORT}"

    @property
    def edge(self) -> str:
        """host:port of the gateway."""
        return f"{self.address}:{self.edge_port}"

    def socket(self, workload: str, name: str) -> Path:
        """Return a Unix socket of a workload: in, out, admin or sds."""
        folder = self.folder / "run" / workload
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{name}.sock"
