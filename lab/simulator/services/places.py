"""Settings that every service requires and no simulated service uses."""

from pathlib import Path
from typing import Any

NOWHERE: dict[str, Any] = {
    "home": Path("/nonexistent"),
    "socket_in": Path("/nonexistent"),
    "openbao_addr": "",
    "service_account_token_file": Path("/nonexistent"),
}
