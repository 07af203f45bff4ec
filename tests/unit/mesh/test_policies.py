"""Policies of SREs narrow what the contracts grant; they never widen it."""

import shutil
from pathlib import Path

import pytest

from mesh.controlplane import model
from mesh.controlplane.ingest import documents, resources, telemetry
from mesh.controlplane.ingest.faults import ConfigFault, Faults
from mesh.controlplane.resolve.mesh import resolve
from mesh.ctl import CONFIG
from tests.rigs.mesh.fixed_places import inputs

SA = "bp.internal/ns/bp/sa"
METHODS = "/bp.customers.v1.CustomersService"
HEAD = """apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {{name: {name}, namespace: bp{annotations}}}
spec:
  selector: {{matchLabels: {{app: customers}}}}
  action: {action}
  rules:
{rules}
"""
DRY = ', annotations: {istio.io/dry-run: "true"}'


def _rule(caller: str, path: str) -> str:
    return (
        f'    - from: [{{source: {{principals: ["{caller}"]}}}}]\n'
        f'      to: [{{operation: {{paths: ["{path}"]}}}}]'
    )


CHECK = _rule(f"{SA}/payments", f"{METHODS}/CheckDebit")
BALANCE = _rule(f"{SA}/payments", f"{METHODS}/GetBalance")


def _policy(action: str, rules: str, *, name: str = "a", annotations: str = "") -> str:
    return HEAD.format(name=name, action=action, rules=rules, annotations=annotations)


def _config(folder: Path, *policies: str) -> Path:
    config = folder / "config"
    shutil.copytree(CONFIG, config)
    (config / "policies.yaml").write_text("---\n".join(policies))
    return config


def _of(service: str, config: Path) -> tuple[model.Policy, ...]:
    mesh = resolve(inputs(config))
    return next(each.policies for each in mesh.sidecars if each.workload.name == service)


def test_a_deny_narrows_one_service(tmp_path: Path) -> None:
    config = _config(tmp_path, _policy("DENY", CHECK))
    [made] = _of("customers", config)
    assert (made.name, made.verdict, made.dry_run) == ("a", model.Verdict.DENY, False)
    [rule] = made.rules
    assert rule.fits_caller(f"spiffe://{SA}/payments")
    assert not rule.fits_caller(f"spiffe://{SA}/transfers")
    assert rule.fits_path(f"{METHODS}/CheckDebit")
    assert not rule.fits_path(f"{METHODS}/GetBalance")
    assert _of("payments", config) == ()


def test_a_dry_run_may_allow_more_than_the_contracts(tmp_path: Path) -> None:
    """It changes no call; it only counts."""
    [made] = _of("customers", _config(tmp_path, _policy("ALLOW", BALANCE, annotations=DRY)))
    assert (made.verdict, made.dry_run) == (model.Verdict.ALLOW, True)


def test_an_allow_within_the_contracts_changes_nothing(tmp_path: Path) -> None:
    [made] = _of("customers", _config(tmp_path, _policy("ALLOW", CHECK)))
    assert made.verdict is model.Verdict.ALLOW


def test_exceptions_are_not_matched(tmp_path: Path) -> None:
    rules = (
        f'    - from: [{{source: {{principals: ["*"], notPrincipals: ["{SA}/payments"]}}}}]\n'
        f'      to: [{{operation: {{notPaths: ["{METHODS}/Get*", "*/ListAccounts"]}}}}]'
    )
    [made] = _of("customers", _config(tmp_path, _policy("DENY", rules)))
    [rule] = made.rules
    assert rule.fits_caller(f"spiffe://{SA}/transfers")
    assert not rule.fits_caller(f"spiffe://{SA}/payments")
    assert rule.fits_path(f"{METHODS}/CheckDebit")
    assert not rule.fits_path(f"{METHODS}/GetBalance")
    assert not rule.fits_path(f"{METHODS}/ListAccounts")


REFUSED = [
    (
        "an allow beyond the contracts",
        [_policy("ALLOW", BALANCE)],
        8,
        "would allow payments to call",
    ),
    ("an allow of all", [_policy("ALLOW", "    - {}")], 8, "which the contract does not"),
    ("a deny of what no contract allows", [_policy("DENY", BALANCE)], 8, "denies nothing"),
    (
        "a misspelt caller",
        [_policy("DENY", CHECK.replace("payments", "paymens"))],
        8,
        f"no workload has the identity {SA}/paymens; did you mean {SA}/payments?",
    ),
    (
        "a misspelt method",
        [_policy("DENY", CHECK.replace("CheckDebit", "CheckDebits"))],
        9,
        f"did you mean {METHODS}/CheckDebit?",
    ),
    (
        "a misspelt service",
        [_policy("DENY", CHECK).replace("app: customers", "app: customer")],
        5,
        "no service is called customer; did you mean customers?",
    ),
    (
        "two policies that contradict each other",
        [_policy("ALLOW", CHECK), _policy("DENY", CHECK, name="b")],
        8,
        "other policies deny all that it allows",
    ),
    ("an outside decision", [_policy("CUSTOM", CHECK)], 6, "CUSTOM is refused: no outside program"),
    ("an audit", [_policy("AUDIT", CHECK)], 6, "use the annotation istio.io/dry-run"),
    (
        "another word for a dry run",
        [_policy("DENY", CHECK, annotations=DRY.replace("true", "yes"))],
        3,
        'must be "true" or "false"',
    ),
    (
        "an annotation of Istio that nothing reads",
        [_policy("DENY", CHECK, annotations=DRY.replace("dry-run", "rev"))],
        3,
        "istio.io/rev is refused",
    ),
    (
        "a deny without rules",
        [_policy("DENY", "").replace("  rules:\n\n", "")],
        4,
        "denies nothing",
    ),
    (
        "a second empty policy",
        [
            "\n".join(HEAD.format(name="b", action="", rules="", annotations="").splitlines()[:3])
            + "\nspec: {}\n"
        ],
        2,
        "only one AuthorizationPolicy may have an empty spec",
    ),
    (
        "a token",
        [_policy("DENY", CHECK.replace("principals:", "requestPrincipals:"))],
        8,
        "as the contracts say",
    ),
    ("a condition", [_policy("DENY", CHECK + "\n      when: [{key: a}]")], 10, "use from and to"),
]


@pytest.mark.parametrize(
    ("case", "policies", "line", "problem"), REFUSED, ids=[each[0] for each in REFUSED]
)
def test_a_policy_that_cannot_work_is_refused(
    tmp_path: Path, case: str, policies: list[str], line: int, problem: str
) -> None:
    with pytest.raises((ConfigFault, Faults)) as raised:
        _of("customers", _config(tmp_path, *policies))
    [found] = [each for each in str(raised.value).splitlines() if problem in each]
    assert f"policies.yaml:{line}: " in found, (case, found)


OWN = """apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: {name: own, namespace: bp}
spec:
  selector: {matchLabels: {app: payments}}
  accessLogging: [{providers: [{name: envoy}], filter: {expression: "response.code >= 400"}}]
"""


def test_a_workload_may_have_its_own_log_filter(tmp_path: Path) -> None:
    parsed = resources.parse(documents.read_folder(_config(tmp_path, OWN)))
    made = telemetry.passed_on(parsed)
    assert made.log_filter_of("payments") == "response.code >= 400"
    assert made.log_filter_of("customers") == made.log_filter != "response.code >= 400"


def test_a_log_filter_of_no_workload_is_refused(tmp_path: Path) -> None:
    text = OWN.replace("app: payments", "app: paymets")
    with pytest.raises(ConfigFault, match=r"policies\.yaml:5: .* did you mean payments"):
        resolve(inputs(_config(tmp_path, text)))
