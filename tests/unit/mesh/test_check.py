"""`mesh.ctl check` reports every error, and Envoy accepts each configuration that passes."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from mesh import ctl
from mesh.controlplane import model
from mesh.controlplane.deliver import validation
from mesh.controlplane.deliver.snapshot import snapshots
from tests.rigs.mesh.fixed_places import mesh, passed_on


def _edited(tmp_path: Path, *edits: tuple[str, str, str]) -> Path:
    config = tmp_path / "config"
    shutil.copytree(ctl.CONFIG, config)
    for file, old, new in edits:
        text = (config / file).read_text()
        assert old in text
        (config / file).write_text(text.replace(old, new, 1))
    return config


def _found(config: Path, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return the errors of a check, with paths relative to the folder."""
    assert ctl.main(["check", "--config", str(config)]) == 1
    lines = capsys.readouterr().err.splitlines()
    return [line.removeprefix(f"{config}/") for line in lines]


UNCALLED = """
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: extra, namespace: bp}
spec:
  hosts: [extra.example]
  location: MESH_EXTERNAL
  resolution: DNS
  ports: [{number: 80, name: http, protocol: HTTP, targetPort: 443}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: extra, namespace: bp}
spec:
  hosts: [extra.example]
  http:
    - route: [{destination: {host: extra.example}}]
      timeout: 5s
      retries: {attempts: 0}
"""
NO_WORKLOAD = """
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: extra, namespace: bp}
spec:
  workloadSelector: {labels: {app: extra}}
  egress: [{hosts: [./fraud.example]}]
  outboundTrafficPolicy: {mode: REGISTRY_ONLY}
"""
OUTLIERS = "spec.trafficPolicy.outlierDetection"
CUSTOMERS = "services/customers.yaml"
RETRIES_MAX = "spec.trafficPolicy.connectionPool.http.maxRetries"
REMEDY = "add it to a Sidecar or remove it"
PARTNER = "    - {name: x, principals: ['spiffe://x/y']}\n"
UNREAD = [
    (
        "a name for the certificate of a service",
        (CUSTOMERS, "{mode: ISTIO_MUTUAL}", "{mode: ISTIO_MUTUAL, sni: x}"),
        [f"{CUSTOMERS}:8: spec.trafficPolicy.tls.sni has no effect; remove it"],
    ),
    (
        "conditions and back-off without retries",
        (CUSTOMERS, "attempts: 2", "attempts: 0"),
        [
            f"{CUSTOMERS}:12: {RETRIES_MAX} has no effect; remove it",
            f"{CUSTOMERS}:35: spec.http.0.retries.backoff has no effect; remove it",
            f"{CUSTOMERS}:35: spec.http.0.retries.retryOn has no effect; remove it",
        ],
    ),
    (
        "a limit of failures that are not counted separately",
        (CUSTOMERS, "splitExternalLocalOriginErrors: true", "# counted together"),
        [
            f"{CUSTOMERS}:17: {OUTLIERS}.consecutiveLocalOriginFailures has no effect; remove it",
            f"{CUSTOMERS}:18: consecutive5xxErrors 0 would keep the breaker closed; set at least"
            " 1, or set splitExternalLocalOriginErrors and consecutiveLocalOriginFailures",
        ],
    ),
    (
        "a partner that no workload calls",
        ("partners/fraud.yaml", "\n---", f"{UNCALLED}---"),
        [
            f"partners/fraud.yaml:19: no workload calls extra.example; {REMEDY}",
        ],
    ),
    (
        "a sidecar of no workload",
        ("sidecars.yaml", "\n---", f"{NO_WORKLOAD}---"),
        ["sidecars.yaml:16: spec.egress has no effect; remove it"],
    ),
    (
        "a partner that no contract names",
        ("gateway.yaml", "  partners:\n", f"  partners:\n{PARTNER}"),
        ["gateway.yaml:90: no contract has the partner x"],
    ),
]


@pytest.mark.parametrize(("case", "edit", "expected"), UNREAD, ids=[each[0] for each in UNREAD])
def test_what_nothing_reads_is_refused(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    case: str,
    edit: tuple[str, str, str],
    expected: list[str],
) -> None:
    assert _found(_edited(tmp_path, edit), capsys) == expected, case


def test_one_check_reports_the_errors_of_all_files_in_order(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Syntax and semantic errors are reported together, without the errors that they cause."""
    config = _edited(
        tmp_path,
        ("sidecars.yaml", "./fraud.example", "./frod"),
        ("sidecars.yaml", "./fcm.googleapis.com", "./*.googleapis.com"),
        ("partners/ach-network.yaml", "timeout: 30s", "timeout: 60s"),
        ("partners/oauth.yaml", "consecutive5xxErrors: 3", "consecutive5xxErrors: many"),
        ("partners/oauth.yaml", "location: MESH_EXTERNAL", "location: MESH_INTERNAL"),
        ("gateway.yaml", "perSecond: 2000", "perSeconds: 2000"),
        ("mesh.yaml", "kind: Telemetry", "kind: Telemetries"),
    )
    assert _found(config, capsys) == [
        "gateway.yaml:44: spec.rateLimits.perAddress.perSeconds: unknown field; did you mean"
        " perSecond?",
        "mesh.yaml:16: telemetry.istio.io/v1 Telemetries is not supported here; did you mean"
        " Telemetry?",
        "partners/ach-network.yaml:22: set at most 45s: an edit ends calls that take longer",
        "partners/oauth.yaml:9: spec.location: MESH_INTERNAL is refused: services of the mesh are"
        " in the endpoints file; use MESH_EXTERNAL",
        f"partners/oauth.yaml:41: {OUTLIERS}.consecutive5xxErrors: Input should be a valid integer",
        "sidecars.yaml:69: ./*.googleapis.com: name one host, written as ./host",
    ]


def test_a_misplaced_bracket_in_one_file_hides_no_error_of_another(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = _edited(
        tmp_path,
        ("mesh.yaml", "{mode: STRICT}", "{mode: STRICT"),
        (CUSTOMERS, "ISTIO_MUTUAL", "SIMPLE"),
    )
    assert _found(config, capsys) == [
        "mesh.yaml:8: expected ',' or '}', but got '<document start>'",
        f"{CUSTOMERS}:8: set ISTIO_MUTUAL, which the mesh requires between services",
    ]


EXPRESSIONS = [
    ("response.code >= ", "Syntax error"),
    ("response.code >= 500 ||| true", "Syntax error"),
    ("slow(request.duration)", "No overload found"),
]


@pytest.mark.parametrize(("expression", "problem"), EXPRESSIONS)
def test_an_expression_that_envoy_cannot_parse_is_refused(
    tmp_path: Path, expression: str, problem: str
) -> None:
    reason = validation.expression_refusal(expression, tmp_path)
    assert reason
    assert problem in reason


def test_an_expression_that_envoy_refuses_hides_no_other_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Six errors in five files give six findings, each at its own line."""
    config = _edited(
        tmp_path,
        ("partners/ach-network.yaml", "timeout: 30s", "timeout: 0s"),
        ("gateway.yaml", "protocol: HTTPS", "protocol: HTTP"),
        ("mesh.yaml", "response.code >= 500", "response.code >>= 500"),
        ("sidecars.yaml", "./fraud.example", "./fraudd.example"),
        ("partners/ach-network.yaml", "credentialName: ach-network-client", "credentialName: nope"),
        ("partners/fcm.yaml", "credentialName: fcm, sni: fcm.", "credentialName: nope2, sni: fcm."),
    )
    first = "must be longer than zero; Envoy treats zero as unlimited"
    found = [line for line in _found(config, capsys) if ".yaml:" in line]
    assert found[1].startswith("mesh.yaml:22: Envoy refuses the expression: ")
    assert [found[0], *found[2:]] == [
        "gateway.yaml:9: spec.servers.0.port.protocol: Input should be 'HTTPS'",
        f"partners/ach-network.yaml:22: spec.http.0.timeout: {first}",
        "partners/ach-network.yaml:36: the endpoints file lacks the files of credentialName nope",
        "partners/fcm.yaml:37: the endpoints file lacks the files of credentialName nope2",
        "sidecars.yaml:28: payments calls fraudd.example, which has no ServiceEntry; add one",
    ]


def test_a_field_without_effect_is_refused_although_another_file_has_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = _edited(
        tmp_path,
        (CUSTOMERS, "{mode: ISTIO_MUTUAL}", "{mode: ISTIO_MUTUAL, sni: x}"),
        (CUSTOMERS, "timeout: 6s", "timeout: 46s"),
        ("partners/ach-network.yaml", "attempts: 3", "attempts: 0"),
        ("gateway.yaml", "protocol: HTTPS", "protocol: HTTP"),
    )
    assert _found(config, capsys) == [
        "gateway.yaml:9: spec.servers.0.port.protocol: Input should be 'HTTPS'",
        "partners/ach-network.yaml:25: spec.http.0.retries.perTryTimeout has no effect; remove it",
        "partners/ach-network.yaml:26: spec.http.0.retries.backoff has no effect; remove it",
        "partners/ach-network.yaml:27: spec.http.0.retries.retryOn has no effect; remove it",
        f"partners/ach-network.yaml:39: {RETRIES_MAX} has no effect; remove it",
        f"{CUSTOMERS}:8: spec.trafficPolicy.tls.sni has no effect; remove it",
        f"{CUSTOMERS}:34: set at most 45s: an edit ends calls that take longer",
    ]


def test_a_cluster_that_envoy_refuses_has_the_place_of_its_rule(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check refuses such a value in config/ before Envoy does, so this changes the model."""
    made = mesh()
    payments = next(each for each in made.sidecars if each.workload.name == "payments")
    fraud = next(each for each in payments.partners if each.host == "fraud.example")
    long = replace(payments, partners=(replace(fraud, sni="f" * 256),))
    made = replace(made, sidecars=(long,))
    monkeypatch.setattr(ctl, "_model", lambda *_: (made, passed_on()))
    [said] = _found(ctl.CONFIG, capsys)
    assert said.startswith(
        "partners/fraud.yaml:35: payments: Envoy refuses the cluster partner/fraud.example: "
    )
    assert "at most 255 bytes" in said


def test_a_listener_that_envoy_refuses_is_named_with_the_field_and_the_rule(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Envoy's reason includes the whole listener, which is omitted here."""
    edge = mesh().edge
    made = model.Mesh((), replace(edge, limits=replace(edge.limits, headers_count=0)))
    monkeypatch.setattr(ctl, "_model", lambda *_: (made, passed_on()))
    assert _found(ctl.CONFIG, capsys) == [
        "gateway: Envoy refuses the listener edge: "
        "CommonHttpProtocolOptions.MaxHeadersCount: value must be greater than or equal to 1"
    ]


@pytest.mark.parametrize("name", ["absent", "empty"])
def test_a_folder_without_files_is_one_error_that_names_the_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """A misspelt folder is not seventeen missing resources."""
    (tmp_path / "empty").mkdir()
    folder = tmp_path / name
    assert _found(folder, capsys) == [f"{folder} has no *.yaml file; name another folder"]


def test_envoy_accepts_many_long_origins(tmp_path: Path) -> None:
    edge = mesh().edge
    origins = tuple(f"https://{number}.{'app.' * 20}bp.example" for number in range(20))
    made = model.Mesh((), replace(edge, cors=replace(edge.cors, allow_origins=origins)))
    snapshot = snapshots(made, passed_on(), validation.unread_secrets(tmp_path))["gateway"]
    assert validation.refusals(snapshot, tmp_path) == []
