"""The fraud scoring API."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract.partners.processes import PartnerProcess, running

TOKEN = "fraud-test-token"


@pytest.fixture(scope="module")
async def fraud(
    certs: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[PartnerProcess]:
    directory = tmp_path_factory.mktemp("fraud")
    async with running("fraud", directory, certs, bearer_token=TOKEN) as partner:
        partner.headers["Authorization"] = f"Bearer {TOKEN}"
        yield partner


def question(minor_units: int | str = 1000, name: str = "Bo Rivera") -> dict[str, Any]:
    return {
        "transactionId": "t-1",
        "customerId": "c-1",
        "accountId": "a-1",
        "amount": {"currency": "USD", "minorUnits": minor_units},
        "beneficiary": {"name": name},
        "channel": "MOBILE",
    }


@pytest.mark.parametrize(
    ("minor_units", "name", "decision"),
    [
        (1000, "Bo Rivera", "APPROVE"),
        ("1000", "Bo Rivera", "APPROVE"),
        (2_500_000, "Bo Rivera", "REVIEW"),
        (50_000_000, "Bo Rivera", "DECLINE"),
        (1000, "FRAUD DECLINE", "DECLINE"),
        (1000, "FRAUD REVIEW", "REVIEW"),
        (2_499_999, "Bo Rivera", "APPROVE"),
    ],
)
async def test_the_decision_follows_amount_and_name_and_is_the_same_each_time(
    fraud: PartnerProcess, minor_units: int | str, name: str, decision: str
) -> None:
    first = await fraud.call("POST", "/v1/score", json=question(minor_units, name))
    second = await fraud.call("POST", "/v1/score", json=question(minor_units, name))
    assert first.status == 200
    assert first.body["decision"] == decision
    assert 0 <= first.body["score"] <= 1000
    assert first.body == second.body


async def test_a_caller_without_the_token_is_refused(fraud: PartnerProcess) -> None:
    for header in ("", "Bearer wrong"):
        refused = await fraud.call(
            "POST", "/v1/score", json=question(), headers={"Authorization": header}
        )
        assert refused.status == 401


async def test_a_question_without_its_fields_is_refused(fraud: PartnerProcess) -> None:
    assert (await fraud.call("POST", "/v1/score", json={"amount": {}})).status == 400


async def test_one_process_stays_small(fraud: PartnerProcess) -> None:
    assert fraud.rss_mib() < 60
