"""The addresses, folders and certificates of the proxies of one run; everything is on loopback."""

import secrets
from dataclasses import dataclass, field
from pathlib import Path

from lab.conformance.certificates import Authority
from lab.conformance.objects import PORT
from lab.conformance.processes import free_port
from services.contracts import spiffe_id

CALLER, CALLED = "payments", "customers"
PARTNER = "fraud.example"
CREDENTIAL = "fraud"


@dataclass
class Machine:
    """One folder with everything; `payments` calls `customers` and the fraud API."""

    folder: Path
    mesh: Authority = field(init=False)
    partner: Authority = field(init=False)
    partner_port: int = field(default_factory=free_port)
    address: str = field(init=False)
    """A loopback address of its own, because Istio's listener has a fixed port."""

    def __post_init__(self) -> None:
        """Issue the certificates."""
        self.mesh = Authority("mesh", self.folder / "pki")
        self.partner = Authority("partner", self.folder / "pki")
        self.address = f"127.{1 + secrets.randbelow(254)}.{secrets.randbelow(256)}.1"
        for name in (CALLER, CALLED, "gateway", "edge"):
            self.mesh.issue(self.certificates / name, uri=spiffe_id(name))
        self.partner.issue(self.folder / "partner", dns=(PARTNER,))

    @property
    def certificates(self) -> Path:
        """The folder of the workloads' certificates."""
        return self.folder / "certs"

    @property
    def called(self) -> str:
        """host:port of the called workload's proxy."""
        return f"{self.address}:{PORT}"

    def socket(self, workload: str, name: str) -> Path:
        """Return a Unix socket of a workload: in, out, admin or sds."""
        folder = self.folder / "run" / workload
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{name}.sock"
