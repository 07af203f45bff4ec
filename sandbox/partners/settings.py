"""The JSON config file of each partner: one typed class per partner.

Unknown fields are refused, so that a typo in a config file is found at start.
"""

import json
from datetime import datetime, time
from pathlib import Path
from typing import Annotated, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

Port = Annotated[int, Field(ge=1, le=65535)]
Secret = Annotated[str, Field(min_length=8)]


class Strict(BaseModel):
    """A config section: immutable, without unknown fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class TlsSettings(Strict):
    """Server certificate and key (PEM paths); with `client_ca` a client certificate is required."""

    cert: Path
    key: Path
    client_ca: Path | None = None


class PartnerSettings(Strict):
    """The settings of every partner: its addresses, its certificate and its state directory.

    `control_socket` is the Unix socket of the control API.
    """

    host: str = "127.0.0.1"
    port: Port
    control_socket: Path
    tls: TlsSettings
    state_dir: Path


class WebhookSettings(Strict):
    """The webhook to which a partner sends notices, its credentials, and the retry policy."""

    url: str
    secret: Secret
    cert: Path
    key: Path
    bank_ca: Path
    attempts_max: int = Field(default=12, ge=1)
    backoff_first_ms: int = Field(default=500, ge=1)
    backoff_ms_max: int = Field(default=60_000, ge=1)
    timeout_ms: int = Field(default=10_000, ge=1)
    concurrency_max: int = Field(default=8, ge=1, le=64)


class AchSettings(PartnerSettings):
    """The clearing house. `client_names` are the certificate common names that may call it.

    `clock_start` sets the business clock at the very first start; later starts keep the clock
    from the journal. If `clock_running` is false, the clock moves only when it is advanced.
    """

    api_key: Secret
    odfi_id: str = Field(default="99100001", pattern=r"^[0-9]{8}$")
    client_names: tuple[str, ...] = ("bp-client",)
    webhook: WebhookSettings | None = None
    clock_start: datetime | None = None
    clock_running: bool = True
    cutoff: time = time(22, 0)
    settlement: time = time(8, 30)
    first_sequence: int = Field(default=1, ge=1, le=9_999_999)


class SmsSettings(PartnerSettings):
    """The SMS gateway. A message is sent after `send_ms` and delivered after `deliver_ms`, both
    counted from its acceptance. The newest `messages_max` messages are kept."""

    api_key: Secret
    webhook: WebhookSettings | None = None
    send_ms: int = Field(default=50, ge=0)
    deliver_ms: int = Field(default=200, ge=0)
    messages_max: int = Field(default=10_000, ge=1)


class FraudSettings(PartnerSettings):
    """The fraud scoring API: its bearer token and the amounts from which it reviews or declines."""

    bearer_token: Secret
    review_minor_units: int = Field(default=2_500_000, gt=0)
    decline_minor_units: int = Field(default=50_000_000, gt=0)


class ServiceAccount(Strict):
    """The public part of a Google service account, which may request access tokens."""

    client_email: str
    private_key_id: str
    public_key: Path


class FcmSettings(PartnerSettings):
    """Firebase Cloud Messaging with its OAuth 2.0 token endpoint."""

    project_id: str
    service_account: ServiceAccount
    token_uri: str = "https://oauth2.googleapis.com/token"
    token_ttl_s: int = Field(default=3600, ge=1)


class OauthClient(Strict):
    """One registered client: how it authenticates, its allowed scopes, and its allowed grants.

    It has either a `client_secret` or a `public_jwk` (EC, P-256) that verifies its assertions.
    `customers` allows the sandbox's customer grant, `exchange` allows token exchange.
    """

    client_id: str
    client_secret: Secret | None = None
    public_jwk: dict[str, str] | None = None
    scopes: tuple[str, ...] = ()
    customers: bool = True
    exchange: bool = False

    @model_validator(mode="after")
    def has_one_credential(self) -> Self:
        """Refuse a client with two credentials, and one without any."""
        if (self.client_secret is None) == (self.public_jwk is None):
            raise ValueError("give either client_secret or public_jwk")
        return self


class OauthSettings(PartnerSettings):
    """The OpenID provider: issuer URL as clients see it, audience, clients, lifetimes, limits.

    `token_ttl_s` is for client credentials and the customer grant, `session_token_ttl_s` for
    exchanged and refreshed tokens. A grant ends `grant_ttl_s` after its exchange. The last
    refresh token may be used again within `refresh_leeway_s` of its first use. `clock_skew_s` is
    how far the clock of a client may differ when it signs.
    """

    issuer: str = "https://oauth.example"
    audience: str
    clients: tuple[OauthClient, ...]
    token_ttl_s: int = Field(default=600, ge=1)
    session_token_ttl_s: int = Field(default=600, ge=1)
    grant_ttl_s: int = Field(default=30 * 86_400, ge=1)
    refresh_leeway_s: float = Field(default=60, ge=0)
    clock_skew_s: int = Field(default=180, ge=0, le=600)
    grants_max: int = Field(default=50_000, ge=1)
    used_ids_max: int = Field(default=100_000, ge=1)


class RekognitionSettings(PartnerSettings):
    """Amazon Rekognition in one region, with the access key of its one customer.

    A liveness session expires `liveness_ttl_s` after its creation; the real service has 3 minutes.
    """

    access_key_id: Secret
    secret_access_key: Secret
    region: str = "us-east-1"
    liveness_ttl_s: float = Field(default=180, gt=0)


SettingsT = TypeVar("SettingsT", bound=PartnerSettings)


def load(kind: type[SettingsT], path: Path) -> SettingsT:
    """Read a config file; pydantic's error names the field that is wrong."""
    return kind.model_validate(json.loads(path.read_text()))
