"""Retries: which calls are repeated, and at which instance."""

import re
import shutil
from pathlib import Path
from typing import get_args

import pytest

from mesh.controlplane import model
from mesh.controlplane.ingest.faults import ConfigFault
from mesh.controlplane.ingest.values import RetryCondition
from mesh.controlplane.resolve.route_checks import NOT_EXECUTED, repeatable
from mesh.ctl import CONFIG
from services import contracts
from tests.unit.mesh.test_routes import HOST, LAST, RETRIES
from tests.unit.mesh.test_routes import _config as config_of
from tests.unit.mesh.test_routes import _mesh as mesh_of
from tests.unit.mesh.test_routes import _target as target_of


def _shares(*weights: tuple[str, int]) -> str:
    """Return a last route to subsets by their weights."""
    several = ", ".join(
        f"{{destination: {{host: {HOST}, subset: {name}}}, weight: {weight}}}"
        for name, weight in weights
    )
    return f"    - {{route: [{several}], timeout: 6s, {RETRIES}}}\n"


ASKED = _shares(("v2", 1)).replace("attempts: 1", "attempts: 1, retryIgnorePreviousHosts: true")


@pytest.mark.parametrize(
    ("case", "route", "stays"),
    [
        ("the host itself, which chooses by turns", LAST, False),
        ("a subset that chooses by turns", _shares(("v1", 1)), False),
        ("a subset that chooses by a hash", _shares(("v2", 1)), True),
        ("several destinations, one of them by a hash", _shares(("v1", 50), ("v2", 50)), True),
        ("several, of which that with a hash gets nothing", _shares(("v1", 1), ("v2", 0)), False),
        ("a hash, but the route asks for another instance", ASKED, False),
    ],
    ids=lambda each: each if isinstance(each, str) and "\n" not in each else "",
)
def test_a_retry_goes_to_another_instance_unless_a_hash_chooses(
    tmp_path: Path, case: str, route: str, stays: bool
) -> None:
    """With a hash, another instance would not have what the caller needs. Envoy chooses one of
    several destinations once for all retries, so no instance of a hash may be avoided."""
    retry = target_of(mesh_of(config_of(tmp_path, route)), "payments").routes[0].retry
    assert retry, case
    assert retry.previous_hosts is stays


def test_a_retry_stays_where_a_subset_inherits_the_hash_of_its_host(tmp_path: Path) -> None:
    config = config_of(tmp_path, _shares(("v1", 1)))
    path = config / "services" / "customers.yaml"
    hashed = "{consistentHash: {httpHeaderName: x-shard}}"
    path.write_text(path.read_text().replace("{simple: ROUND_ROBIN}", hashed))
    retry = target_of(mesh_of(config), "payments").routes[0].retry
    assert retry
    assert retry.previous_hosts


SAFE = "connect-failure,refused-stream,reset-before-request"
UNSAFE = [each for each in get_args(RetryCondition) if each not in NOT_EXECUTED]
PAYMENT, AUTH = "/bp.payments.v1.PaymentsService/", "/bp.auth.v1.AuthService/"


def _retrying(folder: Path, service: str, condition: str, match: str = "") -> Path:
    """Return the bank's config, with another condition of retries on the first route."""
    config = folder / "config"
    shutil.copytree(CONFIG, config)
    path = config / "services" / f"{service}.yaml"
    before, _, last = path.read_text().partition("    - route:")
    retried = re.sub('retryOn: "[^"]+"', f'retryOn: "{SAFE},{condition}"', last)
    retrying = f"    - route:{retried}"
    if match:
        first = retrying.replace("    - route:", f"    - match: [{match}]\n      route:")
        retrying = f"{first.rstrip()}\n    - route:{last}"
    path.write_text(before + retrying)
    return config


@pytest.mark.parametrize("condition", UNSAFE)
def test_a_retry_that_could_execute_a_write_twice_is_refused(
    tmp_path: Path, condition: str
) -> None:
    """Auth's Login is neither idempotent nor free of side effects, and has no idempotency key."""
    with pytest.raises(ConfigFault) as raised:
        mesh_of(_retrying(tmp_path, "auth", condition))
    assert raised.value.line == 34
    problem = f"after {condition} the call may have been executed, and /bp.auth.v1.AuthService/"
    assert problem in str(raised.value)


@pytest.mark.parametrize(
    ("service", "match"),
    [
        ("customers", ""),
        ("payments", f"{{uri: {{exact: {PAYMENT}CreateInterbankTransfer}}}}"),
        ("payments", f"{{uri: {{exact: {PAYMENT}CancelInterbankTransfer}}}}"),
        ("auth", f"{{uri: {{prefix: {AUTH}List}}}}"),
    ],
    ids=["all methods read", "an idempotency key", "an idempotent method", "some methods read"],
)
def test_a_retry_of_what_the_contract_calls_repeatable_is_accepted(
    tmp_path: Path, service: str, match: str
) -> None:
    mesh = mesh_of(_retrying(tmp_path, service, "5xx", match))
    retry = next(each for each in mesh.edge.services if each.name == service).routes[0].retry
    assert retry
    assert model.RetryCause.SERVER_ERROR in retry.on


def test_every_method_says_whether_a_retry_may_repeat_it() -> None:
    """A method without a word in its contract is one that must not be executed twice."""
    repeated = {each.name for each in contracts.load().values() if repeatable(each)}
    assert {"CreateInterbankTransfer", "CreateBookTransfer", "GetBalance"} <= repeated
    assert not repeated & {"Login", "VerifyOtp", "ChangePassword"}
