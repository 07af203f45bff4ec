"""The addresses of a running stack, for people, tests and shells."""

from __future__ import annotations

import json
import shlex

from sandbox.stack.parts.partners import NAMES
from sandbox.stack.plan import Parts
from sandbox.stack.supervisor import private


def addresses(parts: Parts) -> dict[str, str]:
    """Return values by variable name; secrets are given only by their file's path."""
    home = parts.home
    controls = {
        f"BP_PARTNER_{name.upper()}_CONTROL_SOCKET": str(parts.partners.control_socket(name))
        for name in NAMES
    }
    return {
        **controls,
        "BP_GATEWAY_URL": parts.mesh.gateway_url,
        "BP_GATEWAY_ADMIN_SOCKET": str(parts.mesh.gateway_admin),
        "BP_BCRYPT_COST": str(parts.settings.bcrypt_cost),
        "BP_CA_FILE": str(parts.mesh.ca_file),
        "BP_PARTNER_ACH_CA_FILE": str(parts.partners.authority_file("ach")),
        "BP_PARTNER_OAUTH_CA_FILE": str(parts.partners.authority_file("oauth")),
        "BP_PARTNER_REKOGNITION_CA_FILE": str(parts.partners.authority_file("rekognition")),
        "BP_PARTNER_REKOGNITION_URL": f"https://localhost:{parts.partners.port('rekognition')}",
        "BP_PARTNER_ACH_URL": f"https://localhost:{parts.partners.port('ach')}",
        "BP_PARTNER_OAUTH_URL": f"https://localhost:{parts.partners.port('oauth')}",
        "BP_HOME": str(home.root),
        "BP_RUN": str(home.run),
        "BP_KAFKA_BOOTSTRAP": parts.kafka.bootstrap,
        "BP_OPENBAO_ADDR": parts.openbao.addr,
        "BP_OPENBAO_PRIVATE_ADDR": parts.openbao.private_addr,
        "BP_OPENBAO_KEYS_FILE": str(parts.openbao.keys_file),
        "BP_POSTGRES_HOST": parts.postgres.host,
        "BP_POSTGRES_PORT": str(parts.postgres.port),
        "BP_POSTGRES_SUPERUSER": "postgres",
        "BP_SEED_FILE": str(home.secrets / "seed.json"),
        "BP_VALKEY_SOCKET": str(parts.valkey.socket),
    }


def write(parts: Parts) -> None:
    """Write BP_HOME/endpoints.json and BP_HOME/env."""
    values = addresses(parts)
    private.write(parts.home.endpoints, json.dumps(values, indent=1, sort_keys=True) + "\n")
    lines = [f"export {name}={shlex.quote(value)}" for name, value in sorted(values.items())]
    private.write(parts.home.env_file, "\n".join(lines) + "\n")
