"""The bank's services with their databases, secrets and sidecars, as one table.

Provisioning, policies, certificates and processes are derived from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from services.kernel.identities import GATEWAY

REPO = Path(__file__).resolve().parents[2]

WRITE_DATABASE = "bp_write"
JUDGE = "judge"
REVIEWER = "reviewer"
"""The login that records decisions of reviewers, and can do nothing else."""
OPERATOR = "operator"
"""The login that records what operators want auth to do, and can do nothing else."""
AUTH_DATABASE = "bp_auth"


@dataclass(frozen=True)
class Service:
    """One deployable. `sidecar` is true when it offers RPCs or makes outgoing calls; `secrets`
    are the KV paths it may read in addition to its own database password."""

    name: str
    database: str | None = None
    sidecar: bool = True
    secrets: tuple[str, ...] = ()

    @property
    def role(self) -> str:
        """The service's database login."""
        return f"bp_{self.name}"

    @property
    def exists(self) -> bool:
        """True when the service has a `__main__.py`."""
        return (REPO / "services" / self.name / "__main__.py").exists()


SERVICES = (
    Service(
        "payments",
        WRITE_DATABASE,
        secrets=("external/ach-network", "external/fraud", "valkey/payments"),
    ),
    Service("transfers", WRITE_DATABASE, secrets=("valkey/transfers",)),
    Service("customers", "bp_customers", secrets=("valkey/customers",)),
    Service("notifications", "bp_notifications", secrets=("external/fcm", "valkey/notifications")),
    Service("audit", "bp_audit"),
    Service(
        "auth",
        AUTH_DATABASE,
        secrets=("external/oauth-login", "external/sms", "external/rekognition", "valkey/auth"),
    ),
    Service("relay", WRITE_DATABASE, sidecar=False),
    Service("router", sidecar=False),
)

# The order matters within one database. `chassis` and `ledger` are libraries of SQL functions, not
# processes.
MIGRATIONS = {
    WRITE_DATABASE: ("chassis", "ledger", "relay", "payments", "transfers"),
    "bp_customers": ("customers",),
    "bp_notifications": ("chassis", "notifications"),
    "bp_audit": ("chassis", "audit"),
    AUTH_DATABASE: ("chassis", "auth"),
}


def present() -> list[Service]:
    """Return the services whose process exists in this repository."""
    return [service for service in SERVICES if service.exists]


def mesh_identities() -> list[str]:
    """Return the names that get a mesh certificate."""
    return [GATEWAY, *(service.name for service in SERVICES if service.sidecar)]
