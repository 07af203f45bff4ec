"""An invalid configuration is rejected with file and line."""

import json
from pathlib import Path

import pytest

from mesh import ctl
from mesh.controlplane.ingest import documents, endpoints, resources, telemetry
from mesh.controlplane.ingest.faults import ConfigFault, MeshFault

HEAD = """apiVersion: networking.istio.io/v1
kind: {kind}
metadata: {{name: x, namespace: bp}}
spec:
"""
RULE = """  hosts: [a.example]
  http:
    - route: [{destination: {host: a.example}}]
      retries: {attempts: 0}
      timeout: 5s
"""

GATEWAY = """  selector: {app: gateway}
  servers:
    - port: {number: 443, name: https, protocol: HTTPS}
      hosts: ["*"]
      tls:
        mode: OPTIONAL_MUTUAL
        credentialName: edge
        minProtocolVersion: TLSV1_2
        maxProtocolVersion: TLSV1_3
"""
ENTRY = """  hosts: [a.example]
  location: MESH_EXTERNAL
  resolution: DNS
  ports:
    - {number: 80, name: http, protocol: HTTP, targetPort: 443}
"""

FAULTS = [
    ("an unknown field", "VirtualService", RULE + "      mirrors: []\n", 10, "use mirror and"),
    (
        "a typing error deep inside",
        "VirtualService",
        RULE.replace("attempts", "attempt"),
        8,
        "retries.attempt: unknown field; did you mean attempts?",
    ),
    (
        "an unhonoured value",
        "PeerAuthentication",
        "  mtls: {mode: PERMISSIVE}\n",
        1,
        "not supported here; write security.istio.io/v1",
    ),
    (
        "an unknown kind",
        "WasmPlugin",
        "  a: 1\n",
        2,
        "WasmPlugin is refused: the proxies run no code",
    ),
    ("a wrong duration", "VirtualService", RULE.replace("5s", "5 seconds"), 9, "duration"),
    ("a number for a text", "VirtualService", RULE.replace("a.example]", "1]"), 5, "valid string"),
    (
        "an unknown retry condition",
        "VirtualService",
        RULE.replace("attempts: 0", "attempts: 1, retryOn: 'reset,5x'"),
        8,
        "Input should be '5xx'",
    ),
    ("a zero duration", "VirtualService", RULE.replace("5s", "0s"), 9, "longer than zero"),
    ("a gateway without TLS", "Gateway", GATEWAY.replace("HTTPS", "HTTP"), 7, "'HTTPS'"),
    ("a gateway without hosts", "Gateway", GATEWAY.replace('"*"', ""), 8, "at least 1 item"),
    ("another workload's gateway", "Gateway", GATEWAY.replace("app: g", "app: p"), 5, "'gateway'"),
    ("another certificate", "Gateway", GATEWAY.replace("edge", "rim"), 11, "'edge'"),
    (
        "TLS versions in the wrong order",
        "Gateway",
        GATEWAY.replace("TLSV1_2", "?").replace("TLSV1_3", "TLSV1_2").replace("?", "TLSV1_3"),
        9,
        "is above",
    ),
    ("another port", "ServiceEntry", ENTRY.replace("443", "8443"), 9, "targetPort 443"),
    ("an alias of itself", "VirtualService", "  http: &me [*me]\n", 5, "contains itself"),
    ("two hosts", "VirtualService", RULE.replace("[a.", "[b, a."), 5, "at most 1 item"),
    ("a key twice", "VirtualService", RULE + "  hosts: [b]\n", 10, "hosts appears twice"),
    ("no YAML", "VirtualService", "  hosts: [a\n  http: ]\n", 6, "expected"),
]


@pytest.mark.parametrize(
    ("case", "kind", "spec", "line", "problem"), FAULTS, ids=[fault[0] for fault in FAULTS]
)
def test_a_fault_names_file_and_line(
    tmp_path: Path, case: str, kind: str, spec: str, line: int, problem: str
) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(HEAD.format(kind=kind) + spec)
    with pytest.raises(ConfigFault) as raised:
        resources.parse(documents.read_folder(tmp_path))
    assert (raised.value.path, raised.value.line) == (path, line), (case, str(raised.value))
    assert problem in raised.value.problem
    assert str(raised.value).startswith(f"{path}:{line}: ")


def test_two_resources_of_one_name_are_refused(tmp_path: Path) -> None:
    text = HEAD.format(kind="VirtualService") + RULE
    (tmp_path / "a.yaml").write_text(f"{text}---\n{text}")
    with pytest.raises(ConfigFault, match=r"a\.yaml:13: VirtualService x already exists"):
        resources.parse(documents.read_folder(tmp_path))


def test_another_namespace_is_refused(tmp_path: Path) -> None:
    text = HEAD.format(kind="VirtualService").replace("namespace: bp", "namespace: other")
    (tmp_path / "a.yaml").write_text(text + RULE)
    with pytest.raises(ConfigFault, match=r"a\.yaml:3: metadata\.namespace"):
        resources.parse(documents.read_folder(tmp_path))


def test_the_endpoints_file_is_checked_too(tmp_path: Path) -> None:
    path = tmp_path / "endpoints.json"
    path.write_text(json.dumps({"services": {}, "extra": 1}))
    with pytest.raises(ConfigFault, match="extra"):
        endpoints.read(path)


def test_a_mesh_without_telemetry_is_refused() -> None:
    with pytest.raises(MeshFault, match="exactly one Telemetry"):
        telemetry.passed_on([])


def test_the_banks_own_configuration_is_valid(capsys: pytest.CaptureFixture[str]) -> None:
    assert ctl.main(["check"]) == 0
    assert json.loads(capsys.readouterr().out) == {"ok": True, "proxies": 7}


def test_check_prints_the_error_and_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.yaml").write_text(HEAD.format(kind="VirtualService") + "  hosts: 1\n")
    assert ctl.main(["check", "--config", str(tmp_path)]) == 1
    found = capsys.readouterr().err.splitlines()
    assert found[0].startswith(f"{tmp_path}/a.yaml:4: spec.http is missing; set it")
    assert found[1].startswith(f"{tmp_path}/a.yaml:5: spec.hosts: ")
