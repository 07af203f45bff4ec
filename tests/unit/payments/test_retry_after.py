"""A 503 asks its caller to wait until the partner's circuit breaker has closed again."""

import pytest
import yaml

from services.payments import errors
from tests.architecture.sources import REPO


@pytest.mark.parametrize(
    ("partner", "error"),
    [("ach-network", errors.AchUnavailable), ("fraud", errors.FraudCheckUnavailable)],
)
def test_a_retry_comes_after_the_circuit_breaker_has_closed(
    partner: str, error: type[errors.PaymentsError]
) -> None:
    text = (REPO / "mesh" / "config" / "partners" / f"{partner}.yaml").read_text()
    rules = [each for each in yaml.safe_load_all(text) if each["kind"] == "DestinationRule"]
    breakers = [rule["spec"]["trafficPolicy"]["outlierDetection"] for rule in rules]
    open_s = [int(each["baseEjectionTime"].removesuffix("s")) for each in breakers]
    assert open_s
    assert error.retry_after_s is not None
    assert error.retry_after_s > max(open_s)
