"""`mesh.ctl check` reports every error, and Envoy accepts each configuration that passes."""

import shutil
from pathlib import Path

import pytest

from mesh import ctl


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
REMEDY = "add it to a Sidecar or remove it"
PARTNER = "    - {name: x, principals: ['spiffe://x/y']}\n"
UNREAD = [
    (
        "a name for the certificate of a service",
        ("services.yaml", "{mode: ISTIO_MUTUAL}", "{mode: ISTIO_MUTUAL, sni: x}"),
        ["services.yaml:8: spec.trafficPolicy.tls.sni has no effect; remove it"],
    ),
    (
        "conditions and back-off without retries",
        ("services.yaml", "attempts: 2", "attempts: 0"),
        [
            "services.yaml:32: spec.http.0.retries.backoff has no effect; remove it",
            "services.yaml:32: spec.http.0.retries.retryOn has no effect; remove it",
        ],
    ),
    (
        "a limit of failures that are not counted separately",
        ("services.yaml", "splitExternalLocalOriginErrors: true", "# counted together"),
        [f"services.yaml:17: {OUTLIERS}.consecutiveLocalOriginFailures has no effect; remove it"],
    ),
    (
        "a partner that no workload calls",
        ("partners/fraud.yaml", "\n---", f"{UNCALLED}---"),
        [
            f"partners/fraud.yaml:19: no workload calls extra.example; {REMEDY}",
            "partners/fraud.yaml:32: spec.http.0.retries has no effect; remove it",
        ],
    ),
    (
        "a sidecar of no workload",
        ("sidecars.yaml", "\n---", f"{NO_WORKLOAD}---"),
        ["sidecars.yaml:14: spec.egress has no effect; remove it"],
    ),
    (
        "a partner that no contract names",
        ("gateway.yaml", "  partners:\n", f"  partners:\n{PARTNER}"),
        ["gateway.yaml:64: no contract has the partner x"],
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
    """Errors of form and of meaning are reported together, without those that they cause."""
    config = _edited(
        tmp_path,
        ("sidecars.yaml", "./fraud.example", "./frod"),
        ("sidecars.yaml", "./fcm.googleapis.com", "./*.googleapis.com"),
        ("partners/ach-network.yaml", "timeout: 30s", "timeout: 60s"),
        ("partners/oauth.yaml", "consecutive5xxErrors: 3", "consecutive5xxErrors: many"),
        ("partners/oauth.yaml", "location: MESH_EXTERNAL", "location: MESH_INTERNAL"),
        ("gateway.yaml", "perSecond: 5000", "perSeconds: 5000"),
        ("mesh.yaml", "kind: Telemetry", "kind: Telemetries"),
    )
    assert _found(config, capsys) == [
        "gateway.yaml:41: spec.rateLimits.perAddress.perSeconds: unknown or unsupported field",
        "mesh.yaml:16: telemetry.istio.io/v1 Telemetries is not supported here; remove it",
        "partners/ach-network.yaml:22: set at most 45s: an edit ends calls that take longer",
        "partners/oauth.yaml:9: spec.location: Input should be 'MESH_EXTERNAL'",
        f"partners/oauth.yaml:41: {OUTLIERS}.consecutive5xxErrors: Input should be a valid integer",
        "sidecars.yaml:37: ./*.googleapis.com: name one host, written as ./host",
    ]


def test_a_misplaced_bracket_in_one_file_hides_no_error_of_another(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = _edited(
        tmp_path,
        ("mesh.yaml", "{mode: STRICT}", "{mode: STRICT"),
        ("services.yaml", "ISTIO_MUTUAL", "SIMPLE"),
    )
    assert _found(config, capsys) == [
        "mesh.yaml:8: expected ',' or '}', but got '<document start>'",
        "services.yaml:8: set ISTIO_MUTUAL, which the mesh requires between services",
    ]


EXPRESSIONS = [
    ("response.code >= ", "Syntax error"),
    ("response.code >= 500 ||| true", "Syntax error"),
    ("slow(request.duration)", "No overload found"),
]


@pytest.mark.parametrize(("expression", "problem"), EXPRESSIONS)
def test_an_expression_that_envoy_cannot_parse_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], expression: str, problem: str
) -> None:
    own = "response.code >= 500 || (response.code == 200 && response.grpc_status in [2, 4, 13, 14])"
    edit = ("mesh.yaml", f"{own} || request.duration > duration('2s')", expression)
    config = _edited(tmp_path, edit)
    first, *_ = found = _found(config, capsys)
    assert first.startswith("mesh.yaml:22: Envoy refuses the expression: ")
    assert any(problem in line for line in found)


def test_a_value_that_envoy_refuses_is_refused_with_envoys_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "f" * 256
    config = _edited(tmp_path, ("partners/fraud.yaml", "sni: fraud.example", f"sni: {name}"))
    first, *_ = found = _found(config, capsys)
    assert first.startswith("payments: Envoy refuses the configuration: ")
    assert any("at most 255 bytes" in line for line in found)
