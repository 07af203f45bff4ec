"""A number or a time that is well-formed but makes no sense is refused, at the line of its field.

The value is out of range, contradicts another value or a contract, or has no effect in Envoy or in
Istio. Each row says which value is accepted instead.
"""

import shutil
from pathlib import Path

import pytest

from mesh.controlplane.ingest import documents, resources
from mesh.controlplane.ingest.faults import ConfigFault, Faults, Findings
from mesh.controlplane.resolve.mesh import Inputs, resolve
from mesh.ctl import CONFIG
from services import contracts
from tests.rigs.mesh.fixed_places import endpoints

ACH, DIRECTORY = "partners/ach-network.yaml", "partners/ach-directory.yaml"
FRAUD, SERVICES, GATEWAY = "partners/fraud.yaml", "services/customers.yaml", "gateway.yaml"
SHORTEST = "2s, the shortest deadline: that of /bp.customers.v1.CustomersService/BatchGetHolders"
RETRIED = 'retryOn: "connect-failure,refused-stream,reset,cancelled"'
SPLIT = "splitExternalLocalOriginErrors"
LIMIT = "consecutiveLocalOriginFailures"
POOL = "spec.trafficPolicy.connectionPool"
POSITIVE = "Input should be greater than or equal to 1, not 0"
UNLIMITED = "must be longer than zero; Envoy treats zero as unlimited"
Row = tuple[str, str, str, str]

TRIES: list[Row] = [
    (SERVICES, "backoff: 25ms", "backoff: 2s", f"backoff 2s must be shorter than {SHORTEST}"),
    (
        SERVICES,
        "backoff: 25ms",
        "perTryTimeout: 2s",
        f"perTryTimeout 2s must be shorter than {SHORTEST}",
    ),
    (
        SERVICES,
        RETRIED,
        "retryOn: reset, perTryTimeout: 700ms",
        f"3 tries with perTryTimeout 700ms do not fit into {SHORTEST}; set at most 666ms",
    ),
    (ACH, "backoff: 200ms", "backoff: 30s", "backoff 30s must be shorter than the timeout 30s"),
    (
        ACH,
        "perTryTimeout: 7s",
        "perTryTimeout: 30s",
        "perTryTimeout 30s must be shorter than the timeout 30s",
    ),
    (
        ACH,
        "perTryTimeout: 7s",
        "perTryTimeout: 7501ms",
        "4 tries with perTryTimeout 7501ms do not fit into the timeout 30s; set at most 7500ms",
    ),
    (ACH, "attempts: 3", "attempts: -1", "spec.http.0.retries.attempts: Input should be greater"),
    (ACH, "attempts: 3", "attempts: 11", "spec.http.0.retries.attempts: Input should be less"),
    (ACH, "perTryTimeout: 7s", "perTryTimeout: 0s", UNLIMITED),
    (ACH, "backoff: 200ms", "backoff: 0ms", UNLIMITED),
    (ACH, "backoff: 200ms", "backoff: 200", "must be a duration such as 30s"),
    (ACH, "backoff: 200ms", "backoff: -200ms", "must be a duration such as 30s"),
]
POOLS: list[Row] = [
    (
        SERVICES,
        "connectTimeout: 1s",
        "connectTimeout: 2s",
        f"connectTimeout 2s must be shorter than {SHORTEST}",
    ),
    (
        DIRECTORY,
        "connectTimeout: 1s",
        "connectTimeout: 2s",
        "connectTimeout 2s must be shorter than the timeout 2s",
    ),
    (ACH, "connectTimeout: 2s", "connectTimeout: 0s", UNLIMITED),
    (ACH, "maxConnections: 256", "maxConnections: 0", f"{POOL}.tcp.maxConnections: {POSITIVE}"),
    (ACH, "http2MaxRequests: 256", "http2MaxRequests: 0", POSITIVE),
    (ACH, "PendingRequests: 256", "PendingRequests: 0", POSITIVE),
    (ACH, "maxRetries: 32", "maxRetries: 0", f"{POOL}.http.maxRetries: {POSITIVE}"),
    (
        DIRECTORY,
        "http2MaxRequests: 256",
        "http2MaxRequests: 256, maxRetries: 32",
        f"{POOL}.http.maxRetries has no effect; remove it",
    ),
]
BREAKERS: list[Row] = [
    (
        ACH,
        "consecutive5xxErrors: 5",
        "consecutive5xxErrors: 0",
        "consecutive5xxErrors 0 would keep a partner's breaker closed; set at least 1",
    ),
    (
        ACH,
        "maxEjectionPercent: 100",
        "maxEjectionPercent: 99",
        "maxEjectionPercent 99 would keep a partner's breaker closed, because a partner has one"
        " address; set 100",
    ),
    (ACH, "maxEjectionPercent: 100", "maxEjectionPercent: 0", POSITIVE),
    (SERVICES, "maxEjectionPercent: 50", "maxEjectionPercent: 0", POSITIVE),
    (SERVICES, "maxEjectionPercent: 50", "maxEjectionPercent: 101", "equal to 100, not 101"),
    (
        ACH,
        "interval: 1s",
        "interval: 61s",
        "interval 61s must not be longer than baseEjectionTime 60s: an open breaker closes only at"
        " the end of an interval",
    ),
    (SERVICES, f"{LIMIT}: 5", f"{LIMIT}: 0", POSITIVE),
    (ACH, "interval: 1s", "interval: 0s", UNLIMITED),
    (ACH, "baseEjectionTime: 60s", "baseEjectionTime: 0s", UNLIMITED),
]
EDGE: list[Row] = [
    (
        GATEWAY,
        "idleTimeout: 60s",
        "idleTimeout: 10s",
        "idleTimeout 10s must be longer than 44s, the deadline of"
        " /bp.auth.v1.AuthService/VerifyBiometric: a call that waits for its answer is idle",
    ),
    (GATEWAY, "maxAge: 10m", "maxAge: 86401s", "must be at most 24h, because browsers"),
    (GATEWAY, "bodyBytes: 65536", "bodyBytes: 4000001", "equal to 4000000, not 4000001"),
    (GATEWAY, "headersKiB: 16", "headersKiB: 49", "less than or equal to 48, not 49"),
    (GATEWAY, "headersCount: 64", "headersCount: 81", "less than or equal to 80, not 81"),
    (GATEWAY, "perSecond: 2000", "perSecond: 0", POSITIVE),
    (GATEWAY, "burst: 4000", "burst: 0", POSITIVE),
    (GATEWAY, "trackedMax: 20000", "trackedMax: 0", POSITIVE),
]


def _found(config: Path) -> list[str]:
    """Return the errors of a check without Envoy, with paths relative to the folder."""
    findings = Findings()
    parsed = resources.parse(documents.read_folder(config, findings), findings)
    faults = list[Exception]()
    try:
        resolve(Inputs(parsed, contracts.load(), endpoints()), findings)
    except Faults as several:
        faults = list(several.faults)
    except ConfigFault as fault:
        faults = [fault]
    return [str(each).removeprefix(f"{config}/") for each in faults]


def _copy(tmp_path: Path, file: str, old: str, new: str) -> tuple[Path, int]:
    """Copy the bank's config with one edit; return the folder and the line of the edit."""
    config = tmp_path / "config"
    shutil.copytree(CONFIG, config)
    text = (config / file).read_text()
    assert old in text
    (config / file).write_text(text.replace(old, new, 1))
    return config, 1 + text[: text.index(old)].count("\n")


@pytest.mark.parametrize(
    ("file", "old", "new", "problem"),
    [*TRIES, *POOLS, *BREAKERS, *EDGE],
)
def test_a_senseless_value_is_refused_at_its_line(
    tmp_path: Path, file: str, old: str, new: str, problem: str
) -> None:
    config, line = _copy(tmp_path, file, old, new)
    [found] = _found(config)
    assert found.startswith(f"{file}:{line}: ")
    assert problem in found


CLOSED = (
    "consecutive5xxErrors 0 would keep the breaker closed; set at least 1, or set"
    " splitExternalLocalOriginErrors and consecutiveLocalOriginFailures"
)
UNTIMED = "without it Envoy ends a call after 15s, and Istio never ends it"
SEVERAL = [
    (
        "failures to connect are counted separately, but without a limit",
        (SERVICES, f"      {LIMIT}: 5\n", ""),
        [
            f"{SERVICES}:16: {SPLIT} true: without {LIMIT} it has no effect;"
            " set that to at least 1",
            f"{SERVICES}:17: {CLOSED}",
        ],
    ),
    (
        "nothing that is counted can open the breaker",
        (SERVICES, f"      {SPLIT}: true\n      {LIMIT}: 5\n", ""),
        [f"{SERVICES}:16: {CLOSED}"],
    ),
    (
        "a partner without a timeout",
        (FRAUD, "      timeout: 5s\n", ""),
        [f"{FRAUD}:21: set a timeout: {UNTIMED}"],
    ),
    (
        "a partner without a route",
        (FRAUD, (CONFIG / FRAUD).read_text().split("---")[1] + "---", ""),
        [f"{FRAUD}:19: add a VirtualService with a timeout: {UNTIMED}"],
    ),
    (
        "a partner whose route cannot be read",
        (FRAUD, "kind: VirtualService", "kind: VirtualServices"),
        [
            f"{FRAUD}:16: networking.istio.io/v1 VirtualServices is not supported here;"
            " did you mean VirtualService?"
        ],
    ),
    (
        "tries that are not retried after a timeout need not all fit",
        (
            ACH,
            '7s\n        backoff: 200ms\n        retryOn: "5xx,reset,',
            '29s\n        retryOn: "',
        ),
        [],
    ),
]


@pytest.mark.parametrize(("case", "edit", "expected"), SEVERAL, ids=[each[0] for each in SEVERAL])
def test_values_that_contradict_each_other_are_refused(
    tmp_path: Path, case: str, edit: tuple[str, str, str], expected: list[str]
) -> None:
    config, _ = _copy(tmp_path, *edit)
    assert _found(config) == expected, case
