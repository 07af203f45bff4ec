"""The partners: one process each, with certificates from the partners' own authorities.

The stack only writes their configuration; they import none of the bank's code.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ops.provision import secrets
from ops.provision.credentials import Credentials
from sandbox.stack.home import REPO, Home
from sandbox.stack.ports import Ports
from sandbox.stack.supervisor import launch, private
from sandbox.stack.supervisor.nodes import Layer, ProcessSpec
from sandbox.stack.supervisor.probes import HttpProbe

SCOPES = ("accounts:read", "auth:read", "auth:write", "transfers:read", "transfers:write")
"""The scopes of a customer's access token."""
LOGIN_SCOPES = (*SCOPES, "offline_access")
"""The login may also get refresh tokens."""
HOSTS = {
    "ach-network.example": "ach",
    "fraud.example": "fraud",
    "fcm.googleapis.com": "fcm",
    "oauth2.googleapis.com": "fcm",
    "oauth.example": "oauth",
    "sms-gateway.example": "sms",
    f"rekognition.{secrets.AWS_REGION}.amazonaws.com": "rekognition",
}
NAMES = ("ach", "fraud", "fcm", "oauth", "sms", "rekognition")
CREDENTIALS = {
    "ach-network-client": "ach",
    "fraud": "fraud",
    "fcm": "fcm",
    "oauth": "oauth",
    "sms": "sms",
    "rekognition": "rekognition",
}
"""The partner of each credentialName in mesh/config/partners."""
ACH_MEMBERS = "ach-members"
"""Signs the bank's certificate for the clearing house."""
WEBHOOK_CLIENTS = "webhook-clients"
"""Signs the certificates with which partners call the bank's webhooks."""
CLIENT_FILES = {"cert": "pem", "key": "key"}
WEBHOOK_CALLERS = ("ach", "sms")
"""The partners that call the bank's webhooks."""


@dataclass(frozen=True)
class Partners:
    """The partners of one state directory."""

    home: Home
    ports: Ports
    credentials: Credentials

    @property
    def exists(self) -> bool:
        """True when `sandbox/partners` exists."""
        return (REPO / "sandbox" / "partners" / "ca.py").exists()

    @property
    def ca(self) -> Path:
        """The partners' certificate authorities, certificates, and the FCM service account."""
        return self.home.partners / "ca"

    def authority_file(self, issuer: str) -> Path:
        """Return the certificate of the authority for a partner's server or for clients."""
        return self.ca / f"{issuer}-ca.pem"

    def credential_files(self) -> dict[str, dict[str, Any]]:
        """Return the files of each credentialName, for the mesh translation."""
        files: dict[str, dict[str, Any]] = {
            credential: {"ca": str(self.authority_file(name))}
            for credential, name in CREDENTIALS.items()
        }
        pair = {kind: str(self.ca / f"bp-client.{end}") for kind, end in CLIENT_FILES.items()}
        files["ach-network-client"]["client"] = pair
        return files

    def port(self, name: str) -> int:
        """Return the port on which a partner's clients reach it."""
        return self.ports.get(f"partner-{name}")

    def control_socket(self, name: str) -> Path:
        """Return the Unix socket of a partner's control API: health, faults, clock, tokens."""
        return self.home.run / f"partner-{name}" / "control.sock"

    def hosts(self) -> dict[str, str]:
        """Return the addresses on this machine by host name."""
        return {host: f"127.0.0.1:{self.port(name)}" for host, name in HOSTS.items()}

    async def make_authority(self) -> None:
        """Make certificates and the service account; valid ones are kept."""
        command = (sys.executable, "-m", "sandbox.partners.ca", "--out", str(self.ca))
        await launch.run(
            (*command, "--fcm-project", secrets.FCM_PROJECT),
            env=launch.child_environment({"PYTHONPATH": str(REPO)}),
            log=self.home.logs / "partners-ca.log",
        )

    def specs(self, gateway_url: str, gateway_ca: Path) -> list[ProcessSpec]:
        """Return a process for each partner that exists."""
        return [
            self._spec(name, gateway_url, gateway_ca)
            for name in NAMES
            if (REPO / "sandbox" / "partners" / name / "__main__.py").exists()
        ]

    def _spec(self, name: str, gateway_url: str, gateway_ca: Path) -> ProcessSpec:
        file = self.home.conf / f"partner-{name}.json"
        extra: dict[str, Callable[[], dict[str, Any]]] = {
            "ach": lambda: self._ach(gateway_url, gateway_ca),
            "sms": lambda: self._sms(gateway_url, gateway_ca),
            "fraud": lambda: {"bearer_token": self.credentials.fraud_bearer_token},
            "fcm": self._fcm,
            "oauth": self._oauth,
            "rekognition": self._rekognition,
        }

        async def prepare() -> None:
            state = self.home.partners / name
            private.folder(state)
            private.folder(self.control_socket(name).parent)
            text = json.dumps({**self._shared(name, state), **extra[name]()}, indent=1)
            private.write(file, text)

        # A webhook's caller verifies the gateway with a CA file that the certificate agent writes.
        needs = ("partner-authority",)
        if name in WEBHOOK_CALLERS:
            needs = (*needs, "certificates")
        return ProcessSpec(
            name=f"partner-{name}",
            layer=Layer.PARTNER,
            command=(sys.executable, "-m", f"sandbox.partners.{name}", "--config", str(file)),
            env={"PYTHONPATH": str(REPO)},
            probe=HttpProbe("http://partner/healthz", str(self.control_socket(name))),
            depends_on=needs,
            prepare=prepare,
        )

    def _shared(self, name: str, state: Path) -> dict[str, Any]:
        tls = {"cert": str(self.ca / f"{name}.pem"), "key": str(self.ca / f"{name}.key")}
        if name == "ach":
            tls["client_ca"] = str(self.authority_file(ACH_MEMBERS))
        return {
            "host": "127.0.0.1",
            "port": self.port(name),
            "control_socket": str(self.control_socket(name)),
            "tls": tls,
            "state_dir": str(state),
        }

    def _ach(self, gateway_url: str, gateway_ca: Path) -> dict[str, Any]:
        webhook = self._webhook("ach", gateway_url, gateway_ca)
        webhook["secret"] = self.credentials.ach_webhook_secret
        return {"api_key": self.credentials.ach_api_key, "webhook": webhook}

    def _sms(self, gateway_url: str, gateway_ca: Path) -> dict[str, Any]:
        webhook = self._webhook("sms", gateway_url, gateway_ca)
        webhook["secret"] = self.credentials.sms_webhook_secret
        return {"api_key": self.credentials.sms_api_key, "webhook": webhook}

    def _webhook(self, name: str, gateway_url: str, gateway_ca: Path) -> dict[str, Any]:
        return {
            "url": f"{gateway_url}/v1/webhooks/{name}",
            "cert": str(self.ca / f"{name}-webhook.pem"),
            "key": str(self.ca / f"{name}-webhook.key"),
            "bank_ca": str(gateway_ca),
        }

    def _fcm(self) -> dict[str, Any]:
        account = json.loads((self.ca / secrets.SERVICE_ACCOUNT_FILE).read_text())
        public = self.ca / "fcm-service-account.pub.pem"
        return {
            "project_id": account["project_id"],
            "service_account": {
                "client_email": account["client_email"],
                "private_key_id": account["private_key_id"],
                "public_key": str(public),
            },
        }

    def _oauth(self) -> dict[str, Any]:
        mobile = {
            "client_id": secrets.OAUTH_CLIENT_ID,
            "client_secret": self.credentials.oauth_client_secret,
            "scopes": SCOPES,
        }
        login = {
            "client_id": secrets.OAUTH_LOGIN_CLIENT_ID,
            "public_jwk": secrets.login_public_jwk(self.credentials.oauth_login_key),
            "scopes": LOGIN_SCOPES,
            "customers": False,
            "exchange": True,
        }
        return {
            "issuer": secrets.OAUTH_ISSUER,
            "audience": secrets.OAUTH_AUDIENCE,
            "clients": [mobile, login],
        }

    def _rekognition(self) -> dict[str, Any]:
        return {
            "access_key_id": self.credentials.rekognition_access_key_id,
            "secret_access_key": self.credentials.rekognition_secret_access_key,
            "region": secrets.AWS_REGION,
        }
