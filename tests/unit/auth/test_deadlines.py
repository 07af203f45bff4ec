"""The parts of a call fit into its deadline: a slow partner causes a 503, and no lost work."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from services import contracts
from services.auth.faces import LIVENESS_BEGINS
from services.auth.families import LEASE_MS, LOGIN_ENDS_MS, WAIT_S_MAX
from services.auth.handlers.biometric import ANSWERED_WITHIN_S
from services.auth.handlers.face import LIVENESS_WITHIN_S
from services.auth.handlers.second_factor import ACCEPTED_WITHIN_S
from services.auth.partners.oauth import EXCHANGE_S_MAX, REFRESH_S_MAX
from services.auth.settings import AuthSettings
from services.auth.upkeep import RECONCILE_S
from services.chassis.postgres import ACQUIRE_TIMEOUT_S, COMMAND_TIMEOUT_S
from services.chassis.revocations import POLL_S
from services.chassis.valkey import TIMEOUT_S
from services.chassis.vault import ANSWER_WITHIN_S

REPO = Path(__file__).parents[3]
REST_S = 2.0
"""What the stores of a healthy bank need in one call, on a busy host."""
HASH_S = 2.0
"""What one hash takes on a busy host."""


def _default(name: str) -> float:
    return float(AuthSettings.model_fields[name].default)


def _partner_s(partner: str) -> float:
    """Return the sidecar's timeout of one request to a partner, with its retries."""
    text = (REPO / f"mesh/config/partners/{partner}.yaml").read_text()
    return max(float(route["timeout"].removesuffix("s")) for route in _routes(text))


def _routes(text: str) -> Iterator[Any]:
    for document in yaml.safe_load_all(text):
        if document["kind"] == "VirtualService":
            yield from document["spec"]["http"]


SMS_S = _partner_s("sms")
FACE_S = _default("face_check_s_max")
PASSWORD_S = _default("hash_wait_s_max") + HASH_S
LATE_REPEAT_S = ACCEPTED_WITHIN_S + LIVENESS_WITHIN_S
"""How long a repeated call waits for the earlier one."""
PARTS: dict[str, float] = {
    "Login": PASSWORD_S + ANSWER_WITHIN_S + SMS_S,
    "StepUp": ANSWER_WITHIN_S + SMS_S,
    "ResendOtp": ANSWER_WITHIN_S + SMS_S,
    "VerifyOtp": ANSWER_WITHIN_S + LATE_REPEAT_S + FACE_S,
    "VerifyBiometric": ANSWERED_WITHIN_S + ANSWER_WITHIN_S + FACE_S + EXCHANGE_S_MAX,
    "RefreshTokens": WAIT_S_MAX + REFRESH_S_MAX,
    "ResetPassword": ANSWER_WITHIN_S + PASSWORD_S,
    "ChangePassword": PASSWORD_S + ANSWER_WITHIN_S + PASSWORD_S,
}
"""The longest parts of a call, in seconds, which follow one after the other. ANSWER_WITHIN_S is the
limit of a call to OpenBao."""
BEFORE_OPENBAO: dict[str, float] = {
    "Login": PASSWORD_S,
    "StepUp": 0.0,
    "ResendOtp": 0.0,
    "VerifyOtp": 0.0,
    "VerifyBiometric": 0.0,
    "EnrolTotp": 0.0,
    "ConfirmTotp": 0.0,
    "ResetPassword": 0.0,
    "ChangePassword": PASSWORD_S,
}
"""How long a call may take before it asks OpenBao; without an answer, it asks no partner."""


def _deadline_s(method: str) -> float:
    return contracts.load()[f"/bp.auth.v1.AuthService/{method}"].deadline_ms / 1000


@pytest.mark.parametrize("method", PARTS)
def test_the_parts_of_a_call_fit_into_its_deadline(method: str) -> None:
    assert PARTS[method] + REST_S <= _deadline_s(method)


@pytest.mark.parametrize("method", BEFORE_OPENBAO)
def test_a_call_gets_its_503_while_openbao_hangs(method: str) -> None:
    """A 504 would count its try, as if the caller had left."""
    assert BEFORE_OPENBAO[method] + ANSWER_WITHIN_S + REST_S <= _deadline_s(method)


@pytest.mark.parametrize("limit_s", [EXCHANGE_S_MAX, REFRESH_S_MAX])
def test_the_provider_has_the_time_of_one_request_with_its_retries(limit_s: float) -> None:
    assert limit_s > _partner_s("oauth")


def test_a_face_check_outlasts_one_request_to_the_face_service() -> None:
    assert FACE_S > _partner_s("rekognition") == _default("rekognition_timeout_s")


def test_the_parts_of_a_revocation_take_at_most_five_seconds() -> None:
    """Auth repeats an end that Valkey did not get. A service reads the last position, and then the
    entries after it."""
    assert RECONCILE_S + POLL_S + 2 * TIMEOUT_S <= 5


def test_leases_outlast_the_calls_that_hold_them() -> None:
    """Their work continues after the deadline (handlers/undoing.py), until its own limits."""
    database_s = ACQUIRE_TIMEOUT_S + COMMAND_TIMEOUT_S
    assert _deadline_s("RefreshTokens") < LEASE_MS / 1000
    assert database_s + REFRESH_S_MAX + REST_S < LEASE_MS / 1000
    assert _deadline_s("VerifyBiometric") < LOGIN_ENDS_MS / 1000
    assert database_s + EXCHANGE_S_MAX + REST_S < LOGIN_ENDS_MS / 1000
    assert LIVENESS_BEGINS.total_seconds() > _deadline_s("VerifyOtp")
