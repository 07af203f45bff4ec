"""Settings accept their former names for one version, so two versions can share an environment."""

from typing import Any

import pytest
from bp.customers.v1.customers_service_pb2 import BatchCheckDebitsRequest
from buf.validate import validate_pb2
from pydantic import ValidationError

from services.chassis.settings import ServiceSettings
from services.notifications.settings import NotificationsSettings
from services.payments.settings import PaymentsSettings

REQUIRED = {
    "BP_SERVICE": "payments",
    "BP_HOME": "home",
    "BP_SOCKET_IN": "in.sock",
    "BP_OPENBAO_ADDR": "http://localhost",
    "BP_SERVICE_ACCOUNT_TOKEN_FILE": "token",
}


@pytest.fixture(autouse=True)
def required(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the variables that every service requires."""
    for name, value in REQUIRED.items():
        monkeypatch.setenv(name, value)


def test_a_limit_under_its_former_name_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    """An ignored limit would fall back to a default that lets more money through."""
    monkeypatch.setenv("BP_TRANSFER_MAX_MINOR_UNITS", "5000")
    monkeypatch.setenv("BP_UNSCORED_MAX_MINOR_UNITS", "0")
    monkeypatch.setenv("BP_POOL_SIZE", "2")
    settings = PaymentsSettings.model_validate({})
    assert settings.transfer_minor_units_max == 5000
    assert settings.unscored_minor_units_max == 0
    assert settings.pool_connections == 2


def test_the_present_name_has_precedence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BP_TRANSFER_MAX_MINOR_UNITS", "5000")
    monkeypatch.setenv("BP_TRANSFER_MINOR_UNITS_MAX", "7000")
    assert PaymentsSettings.model_validate({}).transfer_minor_units_max == 7000


def test_a_batch_is_no_larger_than_customers_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    field = BatchCheckDebitsRequest.DESCRIPTOR.fields_by_name["requests"]
    rules: Any = field.GetOptions().Extensions
    most: int = rules[validate_pb2.field].repeated.max_items
    monkeypatch.setenv("BP_BATCH_ITEMS_MAX", str(most))
    assert PaymentsSettings.model_validate({}).batch_items_max == most
    monkeypatch.setenv("BP_BATCH_ITEMS_MAX", str(most + 1))
    with pytest.raises(ValidationError, match="batch_items_max"):
        PaymentsSettings.model_validate({})


@pytest.mark.parametrize("kind", [ServiceSettings, PaymentsSettings, NotificationsSettings])
def test_each_former_name_is_that_of_a_setting(kind: type[ServiceSettings]) -> None:
    assert kind.former_names.keys() <= kind.model_fields.keys()
