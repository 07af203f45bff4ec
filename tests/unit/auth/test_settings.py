"""The settings of auth: the numbers of the design document and of docs/login.md."""

import re
from pathlib import Path

import pytest

import services.auth
from services.auth.settings import AuthSettings
from services.chassis.settings import ServiceSettings

DOCUMENTED = {
    "bcrypt_cost": 12,
    "hash_threads_max": 2,
    "hash_queue_max": 64,
    "login_session_s": 5 * 60,
    "otp_tries_max": 5,
    "otp_resend_first_s": 30,
    "otp_sends_per_number_max": 10,
    "otp_known_sends_per_number_max": 30,
    "otp_sends_per_prefix_max": 2_000,
    "otp_known_sends_per_prefix_max": 20_000,
    "otp_stranger_resets_max": 20_000,
    "session_days": 30,
    "refresh_grace_s": 30,
    "sessions_per_customer_max": 20,
    "rekognition_timeout_s": 10,
}
OWN = AuthSettings.model_fields.keys() - ServiceSettings.model_fields.keys()
FOLDER = Path(services.auth.__file__).parent


def test_the_defaults_are_those_of_the_documents() -> None:
    defaults = {name: AuthSettings.model_fields[name].default for name in DOCUMENTED}
    assert defaults == DOCUMENTED


@pytest.mark.parametrize("name", sorted(OWN))
def test_the_service_reads_each_setting(name: str) -> None:
    """An operator who changes a setting that no code reads changes nothing."""
    reads = re.compile(rf"\w\.{name}\b")
    assert any(reads.search(module.read_text()) for module in FOLDER.rglob("*.py"))
