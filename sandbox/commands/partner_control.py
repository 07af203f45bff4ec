"""The simulated partners by name, and how a command calls their control APIs."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from ops.bpctl import connections

Json = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]


class Partner(StrEnum):
    """The simulated partners."""

    ACH = "ach"
    FRAUD = "fraud"
    FCM = "fcm"
    OAUTH = "oauth"
    SMS = "sms"
    REKOGNITION = "rekognition"


def control(name: Partner, method: str, path: str, body: Any = None) -> Any:
    """Call a partner's control API; return the JSON answer."""
    socket = connections.addresses().get(f"BP_PARTNER_{name.upper()}_CONTROL_SOCKET")
    if socket is None:
        connections.fail(f"This bank has no partner {name}.")
    connections.require_running()
    return connections.call_socket(Path(socket), method, path, body)
