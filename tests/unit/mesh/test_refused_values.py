"""A value that cannot work or has no effect is refused, and the error names its line."""

from pathlib import Path

import pytest

from mesh.controlplane.ingest import documents, resources
from mesh.controlplane.ingest.expression import logged
from mesh.controlplane.ingest.faults import ConfigFault
from mesh.ctl import CONFIG

ACH, GATEWAY = "partners/ach-network.yaml", "gateway.yaml"
WHOLE = "must be a whole number of milliseconds"
HUGE = 2**32
CLAIMS = """        - {claim: sub, header: x-bp-subject}
        - {claim: scope, header: x-bp-scope}
"""
VALUES = [
    # Times.
    (ACH, "timeout: 30s", "timeout: 0.0004s", 22, WHOLE),
    (ACH, "timeout: 30s", "timeout: 1.0005s", 22, WHOLE),
    (ACH, "timeout: 30s", "timeout: 99999999999999h", 22, "must be at most 8760h"),
    (ACH, "timeout: 30s", f"timeout: {'9' * 5000}s", 22, "must be at most 8760h"),
    (ACH, "timeout: 30s", "timeout: ٣s", 22, "must be a duration"),
    (ACH, "timeout: 30s", "timeout:", 22, "spec.http.0.timeout has no value"),
    (ACH, "perTryTimeout: 7s", "perTryTimeout: 0.0004s", 25, WHOLE),
    (ACH, "interval: 1s", "interval: 0.0004s", 42, WHOLE),
    (GATEWAY, "idleTimeout: 60s", "idleTimeout: 0.0004s", 88, WHOLE),
    (GATEWAY, "requestTimeout: 15s", "requestTimeout: 0.0004s", 84, WHOLE),
    (GATEWAY, "maxAge: 10m", "maxAge: 0.0004s", 67, WHOLE),
    (GATEWAY, "maxAge: 10m", "maxAge: 400ms", 67, "whole number of seconds"),
    (GATEWAY, "tokenLifetime: 10m", "tokenLifetime: 1500ms", 87, "whole number of seconds"),
    # A question of a partner about something else.
    (ACH, "timeout: 30s", 'rewrite: {uri: "/ach?key=1"}', 22, "should match"),
    (ACH, "timeout: 30s", 'rewrite: {uri: "/ach#key"}', 22, "should match"),
    # Numbers.
    (ACH, "maxConnections: 256", f"maxConnections: {HUGE}", 38, "less than or equal"),
    (ACH, "maxRetries: 32", f"maxRetries: {10**30}", 39, "less than or equal"),
    (ACH, "consecutive5xxErrors: 5", f"consecutive5xxErrors: {HUGE}", 41, "less than or"),
    (GATEWAY, "bodyBytes: 65536", f"bodyBytes: {HUGE}", 69, "less than or equal"),
    (GATEWAY, "headersCount: 64", f"headersCount: {HUGE}", 81, "less than or equal"),
    (GATEWAY, "perSecond: 2000", f"perSecond: {HUGE}", 44, "less than or equal"),
    (GATEWAY, "burst: 4000", f"burst: {2**64}", 44, "less than or equal"),
    # Values that had no effect, or the effect of a default.
    (GATEWAY, "number: 443", "number: 8443", 9, "should be 443"),
    (GATEWAY, "name: https", "name: tcp", 9, "should be 'https'"),
    (GATEWAY, "selector: {app: gateway}", "selector: {}", 7, "at least 1 item"),
    (ACH, '"5xx,reset,connect-failure,refused-stream"', '""', 27, "at least 1 item"),
    (ACH, '"5xx,reset,', '"5xx,5xx,', 27, "5xx appears twice"),
    (ACH, "[ach-network.example]}", "[]}", 36, "at least 1 item"),
    (ACH, "[ach-network.example]}", '[""]}', 36, "must be a host name"),
    (ACH, "sni: ach-network.example", 'sni: ""', 36, "must be a host name"),
    # Identities.
    (GATEWAY, "x-bp-scope", "x-bp-subject", 32, "services read scope from x-bp-scope"),
    (GATEWAY, CLAIMS, CLAIMS + CLAIMS, 30, "sub appears twice"),
    (GATEWAY, "        - {claim: sub, header: x-bp-subject}\n", "", 30, "add the claim sub"),
    (GATEWAY, "        - {claim: sid, header: x-bp-session}\n", "", 30, "add the claim sid"),
    (GATEWAY, "header: x-bp-device", "header: x-bp-session", 34, "device from x-bp-device"),
    (GATEWAY, "header: x-bp-scope", "header: x-bp-partner", 32, "should be 'x-bp-subject'"),
    (GATEWAY, '["https://api.bp.example"]', '[""]', 26, "should match"),
    (GATEWAY, "issuer: https://oauth.example", "issuer: http://evil", 25, "should match"),
    (GATEWAY, "principals: [", "principals: [spiffe://a/b, spiffe://a/b, ", 89, "appears twice"),
    # Browsers.
    (GATEWAY, '"https://app.bp.example"', '"app.bp.example/"', 64, "must be an origin"),
    (GATEWAY, '"https://app.bp.example"', '"*"', 64, "must be an origin"),
    (GATEWAY, '"https://app.bp.example"', '"https://a.example:443"', 64, "leave out"),
    (GATEWAY, '"https://app.bp.example"', "", 64, "at least 1 item"),
    (GATEWAY, "[authorization,", '["auth orization",', 65, "should match"),
    # Lists of hosts.
    ("sidecars.yaml", "./fraud.example", "./ach-network.example", 24, "appears twice"),
    ("sidecars.yaml", "./fraud.example", "~/*", 24, "~/* allows no host"),
    ("sidecars.yaml", '["~/*"]', "[]", 8, "at least 1 item"),
    # The expression of the access log.
    ("mesh.yaml", "response.code >= 500", "reply.code >= 500", 22, "reply is unknown"),
]


@pytest.mark.parametrize(("file", "old", "new", "line", "problem"), VALUES)
def test_a_value_that_cannot_work_is_refused(
    tmp_path: Path, file: str, old: str, new: str, line: int, problem: str
) -> None:
    text = (CONFIG / file).read_text()
    assert old in text
    path = tmp_path / "edited.yaml"
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(ConfigFault) as raised:
        resources.parse(documents.read_folder(tmp_path))
    assert problem in raised.value.problem
    assert raised.value.line == line, str(raised.value)


FILES = [
    ("text that is not UTF-8", b"a: 1\nb: \xff\n", 2, "not UTF-8"),
    ("a control character", b"a: 1\nb: \x01\n", 2, "not allowed in YAML"),
    ("an escape beyond Unicode", b'a: 1\nb: "\\U00110000"\n', 2, "an escape is not a character"),
    ("a number that Python refuses", b"a: " + b"9" * 5000, 1, "does not fit its type"),
    ("a tag that does not fit", b"a: !!int x\n", 1, "does not fit its type"),
    ("a date", b"a: 2026-01-01\n", 1, "timestamp is not a JSON type"),
    ("a date that does not exist", b"a: 2026-13-45\n", 1, "timestamp is not a JSON type"),
    ("a list as a key", b"? [1]\n: 2\n", 1, "a key must be a string"),
    ("deep nesting", b"a: " + b"[" * 200 + b"]" * 200, 1, "nested more than 32 deep"),
    ("nesting beyond the parser's", b"a: " + b"[" * 600 + b"]" * 600, 1, "nested more"),
    (
        "aliases that multiply",
        b"a: &a [x, x, x, x, x, x, x, x, x]\n"
        + b"".join(
            b"%c: &%c [%s]\n" % (98 + i, 98 + i, b", ".join([b"*%c" % (97 + i)] * 9))
            for i in range(8)
        ),
        None,
        "more than 10000 values",
    ),
    (
        "aliases that multiply in every document",
        (b"a: &a [%s]\nb: [%s]\n---\n" % (b"x, " * 90, b"*a, " * 90)) * 20,
        1,
        "more values than its text allows",
    ),
]


@pytest.mark.parametrize(("case", "content", "line", "problem"), FILES, ids=[f[0] for f in FILES])
def test_a_file_that_cannot_be_read_is_an_error_with_a_line(
    tmp_path: Path, case: str, content: bytes, line: int | None, problem: str
) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigFault, match=problem) as raised:
        list(documents.read_file(path))
    assert line in (None, raised.value.line), case


def test_a_folder_and_a_file_with_another_ending_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").mkdir()
    with pytest.raises(ConfigFault, match="cannot be read"):
        documents.read_folder(tmp_path)
    (tmp_path / "a.yaml").rename(tmp_path / "folder")
    (tmp_path / "folder" / "b.yml").write_text("kind: VirtualService\n")
    with pytest.raises(ConfigFault, match=r"b\.yml:1: only \*\.yaml files are read"):
        documents.read_folder(tmp_path)


GOOD = [
    "response.code >= 500 || request.duration > duration('2s')",
    "response.code in [500, 503] && !connection.mtls",
    "has(request.headers.x) ? request.headers['x'].startsWith('a') : true",
    "[1, 2].exists(code, code == response.grpc_status)",
    "metadata.filter_metadata['a'].b",
    "request.time.getHours() > 3 && size(request.path) > 3u",
    "r'\\d' != request.path // a comment",
    "type(response.code) == int && string(response.code).startsWith('5')",
    "request.duration - duration('1s') > response.backend_latency",
    "unknown_function(request.duration)",
    "response.code >= ",
    "(" * 3000,
]


@pytest.mark.parametrize("expression", GOOD)
def test_an_expression_that_may_be_true_passes_unchanged(expression: str) -> None:
    """Syntax errors and unknown functions pass too: Envoy names them."""
    assert logged(expression) == expression


BAD = [
    ("reply.code >= 500", "reply is unknown"),
    ("response.cod >= 500", "response.cod is unknown"),
    ("[1].exists(code, cod == 1)", "cod is unknown"),
    ("request.duration", "must be a bool, but is of type duration"),
    ("response.code + 1", "of type int"),
    ("request.headers['x']", "of type string"),
    ("response.code || true", "the part before || must be a bool"),
    ("!request.path", "the part after ! must be a bool"),
    ("response.code ? true : false", "the part before ? must be a bool"),
    ("response.code == '500'", "int == string has no result"),
]


@pytest.mark.parametrize(("expression", "problem"), BAD)
def test_an_expression_that_can_never_be_true_is_refused(expression: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem.replace("|", r"\|").replace("?", r"\?")):
        logged(expression)
