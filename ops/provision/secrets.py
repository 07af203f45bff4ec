"""The secrets in OpenBao's KV and their paths, made from the shared credentials."""

from __future__ import annotations

from pathlib import Path

from joserfc.jwk import ECKey

from ops.provision import valkey
from ops.provision.credentials import Credentials
from ops.provision.roster import (
    AUTH_DATABASE,
    JUDGE,
    OPERATOR,
    REVIEWER,
    SERVICES,
    WRITE_DATABASE,
)
from ops.provision.stores import PostgresServer
from ops.provision.vault import Secrets

OAUTH_ISSUER = "https://oauth.example"
OAUTH_AUDIENCE = "https://api.bp.example"
OAUTH_CLIENT_ID = "bp-mobile"
OAUTH_LOGIN_CLIENT_ID = "bp-auth"
FCM_PROJECT = "bp-sandbox"
SMS_SENDER = "BPBank"
"""The name that a telephone shows as the sender; at most 11 letters and digits."""
AWS_REGION = "us-east-1"
SERVICE_ACCOUNT_FILE = "fcm-service-account.json"


def kv_secrets(credentials: Credentials, postgres: PostgresServer, partner_ca: Path) -> Secrets:
    """Return the fields by KV path. The FCM account is omitted until its partner has issued it."""
    return {
        **_of_partners(credentials, partner_ca),
        **_of_services(credentials),
        **{
            f"valkey/{user}": valkey.login(credentials, user)
            for user in (*valkey.RIGHTS, valkey.JUDGE)
        },
        **_of_databases(credentials, postgres),
    }


def _of_partners(credentials: Credentials, partner_ca: Path) -> dict[str, dict[str, str]]:
    """Return the secrets that the bank shares with its partners."""
    secrets = {
        "external/ach-network": {
            "api_key": credentials.ach_api_key,
            "webhook_secret": credentials.ach_webhook_secret,
        },
        "external/fraud": {"bearer_token": credentials.fraud_bearer_token},
        "external/oauth": {
            "client_id": OAUTH_CLIENT_ID,
            "client_secret": credentials.oauth_client_secret,
            "issuer": OAUTH_ISSUER,
            "audience": OAUTH_AUDIENCE,
        },
        "external/oauth-login": _oauth_login(credentials.oauth_login_key),
        "external/sms": {
            "api_key": credentials.sms_api_key,
            "webhook_secret": credentials.sms_webhook_secret,
            "sender": SMS_SENDER,
        },
        "external/rekognition": {
            "access_key_id": credentials.rekognition_access_key_id,
            "secret_access_key": credentials.rekognition_secret_access_key,
            "region": AWS_REGION,
        },
    }
    account = partner_ca / SERVICE_ACCOUNT_FILE
    if account.exists():
        fcm = {"project_id": FCM_PROJECT, "service_account": account.read_text()}
        secrets["external/fcm"] = fcm
    return secrets


def _of_services(credentials: Credentials) -> dict[str, dict[str, str]]:
    """Return the services' own keys."""
    secrets = {
        f"service/{service.name}": {
            "page_token_key": credentials.derived(f"page-token/{service.name}")
        }
        for service in SERVICES
    }
    secrets["service/auth"] |= {
        name: credentials.derived(f"auth/{name}")
        for name in ("blind_index_key", "password_key", "code_key")
    }
    return secrets


def _of_databases(credentials: Credentials, postgres: PostgresServer) -> dict[str, dict[str, str]]:
    """Return the database logins of services and operators."""
    owners = {service.name: service.database for service in SERVICES if service.database}
    operators = {JUDGE: WRITE_DATABASE, REVIEWER: WRITE_DATABASE, OPERATOR: AUTH_DATABASE}
    return {
        f"database/postgres/{name}": {
            "username": f"bp_{name}",
            "password": credentials.role_password(f"bp_{name}"),
            "host": postgres.host,
            "port": str(postgres.port),
            "database": database,
        }
        for name, database in {**owners, **operators}.items()
    }


def login_public_jwk(private_pem: str) -> dict[str, str]:
    """Return the public key with which the provider verifies what bp-auth signs (RFC 7517). Its
    key id is its thumbprint (RFC 7638)."""
    key = ECKey.import_key(private_pem)
    public = {name: str(value) for name, value in key.as_dict(private=False).items()}
    return {**public, "kid": key.thumbprint(), "use": "sig", "alg": "ES256"}


def _oauth_login(private_pem: str) -> dict[str, str]:
    """Return what bp-auth needs to authenticate itself and to exchange tokens."""
    return {
        "client_id": OAUTH_LOGIN_CLIENT_ID,
        "private_key": private_pem,
        "key_id": login_public_jwk(private_pem)["kid"],
        "issuer": OAUTH_ISSUER,
        "audience": OAUTH_AUDIENCE,
        "token_endpoint": f"{OAUTH_ISSUER}/token",
    }
