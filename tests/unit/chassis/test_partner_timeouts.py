"""The limits of a partner's call fit between the sidecar's timeouts and the worker's lease."""

from pathlib import Path
from typing import Any

import yaml

from services.chassis.http_client import TOTAL_S
from services.notifications.partners import ATTEMPT_S
from services.notifications.settings import NotificationsSettings
from services.payments.driver import LEASE_S

PARTNERS = Path(__file__).resolve().parents[3] / "mesh" / "config" / "partners"


def _route_timeouts_s() -> list[float]:
    """Return the timeouts of the sidecar's routes to all partners."""
    documents: list[Any] = [
        document
        for file in sorted(PARTNERS.glob("*.yaml"))
        for document in yaml.safe_load_all(file.read_text())
    ]
    routes = [
        route
        for document in documents
        if document and document["kind"] == "VirtualService"
        for route in document["spec"]["http"]
    ]
    return [float(route["timeout"].removesuffix("s")) for route in routes if "timeout" in route]


def test_a_call_ends_after_the_sidecars_timeout_and_before_the_lease() -> None:
    timeouts_s = _route_timeouts_s()
    assert timeouts_s
    assert max(timeouts_s) < TOTAL_S < LEASE_S


def test_an_attempt_to_push_ends_within_the_margin_of_its_lease() -> None:
    margin_s: float = NotificationsSettings.model_fields["lease_margin_s"].default
    assert margin_s > ATTEMPT_S
