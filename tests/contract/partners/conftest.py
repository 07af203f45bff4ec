"""Session fixtures: the partners' certificates, and a clearing house that tests share."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sandbox.partners.ca import write_all
from tests.contract.partners.orders import API_KEY
from tests.contract.partners.processes import PartnerProcess, running


@pytest.fixture(scope="session")
def certs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the partners' authority with all its certificates."""
    directory = tmp_path_factory.mktemp("partners-ca")
    write_all(directory, "bp-sandbox")
    return directory


@pytest.fixture(scope="session")
def bank_certs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second authority, since the bank has its own."""
    directory = tmp_path_factory.mktemp("bank-ca")
    write_all(directory, "bank")
    return directory


@pytest.fixture(scope="session")
async def ach(
    certs: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[PartnerProcess]:
    """A clearing house whose clock is stopped on a Tuesday morning."""
    directory = tmp_path_factory.mktemp("ach")
    clock = {"clock_start": "2026-03-10T10:00:00-04:00", "clock_running": False}
    async with running("ach", directory, certs, api_key=API_KEY, **clock) as partner:
        partner.headers["X-Api-Key"] = API_KEY
        yield partner
