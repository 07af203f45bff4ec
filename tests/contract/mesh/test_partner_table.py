"""The design document's table of external systems, measured on the wire from the partners' files.

Envoy draws each back-off at random, and a busy host delays everything. So the tests assert only
counts, orders and lower limits of time, which no delay can break.
"""

import statistics
from collections.abc import AsyncIterator

import pytest

from tests.rigs.mesh import partner_experiments as experiments
from tests.rigs.mesh.partner_experiments import (
    ANSWERS_AT_ONCE,
    CALLS,
    Closing,
    Hang,
    Measured,
    Opening,
    Outage,
    all_at_once,
)
from tests.rigs.mesh.partner_files import flat, seconds
from tests.rigs.mesh.partner_table import (
    BACKOFF_S,
    BROKEN,
    EJECTION,
    NEVER_OPENS,
    QUERY,
    SERVER_ERRORS,
    SPACING,
    TIMEOUT,
    TRIES,
    Row,
    Table,
    ejection_s,
    hosts_of,
    running_table,
    short_timeout_s,
)
from tests.rigs.mesh.scripted_partner import HTTP1, HTTP2, REFUSED, RESET, Step

BEARER = {"Authorization": "Bearer a.token-of.the_bank"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
SIGV4 = {
    "Authorization": "AWS4-HMAC-SHA256 Credential=AKIA/20260101/us-east-1/rekognition/aws4_request,"
    " SignedHeaders=host;x-amz-date;x-amz-target, Signature=5d672d79c15b13162d9279b0855cfba6",
    "X-Amz-Date": "20260101T000000Z",
    "X-Amz-Target": "RekognitionService.CompareFaces",
    "Content-Type": "application/x-amz-json-1.1",
}
EXPONENTIAL = (1, 2, 4)
"""The wait before each retry is drawn from 0 to this times the back-off."""
LINEAR = (1, 2)
FAST_FAIL = (1,)
GATEWAY_ERRORS = (502, 503, 504)
REFUSALS = (400, 401, 402, 403, 404, 408, 409, 410, 422, 425, 429)
EARLY = 0.9
"""Envoy's timers begin with a pass of its event loop, so they may end a little early."""
LONG_WAITS = CALLS // 12


# SendGrid and KYC/AML of the design document have no partner yet, so no row here.
# fmt: off
ROWS = (
    # The design document: HTTPS/REST, API key + mTLS, 30 s, 3 retries (exponential back-off),
    # 5 failures open for 60 s.
    Row("ACH Network", "payments", "ach-network.example",
        speaks=HTTP1, login={"X-Api-Key": "key"}, client="bp-client",
        timeout_s=30, retries=3, growth=EXPONENTIAL, failures=5, open_s=60,
        try_s=7, backoff_s=0.2),
    # HTTP/2 + JSON, OAuth 2.0, 10 s, 2 retries (linear), 10 failures open for 30 s.
    Row("Firebase Cloud Messaging", "notifications", "fcm.googleapis.com",
        speaks=HTTP2, login=BEARER,
        timeout_s=10, retries=2, growth=LINEAR, failures=10, open_s=30,
        try_s=3, backoff_s=0.25),
    # OAuth 2.0 / OIDC, client credentials, 5 s, 2 retries (linear), 3 failures open for 30 s.
    Row("OAuth Provider", "auth", "oauth.example",
        speaks=HTTP1, login=FORM, body=b"grant_type=client_credentials&client_assertion=a.b.c",
        timeout_s=5, retries=2, growth=LINEAR, failures=3, open_s=30,
        try_s=1.5, backoff_s=0.25),
    # The same row: Google's own OAuth provider.
    Row("OAuth Provider of FCM", "notifications", "oauth2.googleapis.com",
        speaks=HTTP1, login=FORM, body=b"grant_type=jwt-bearer&assertion=a.b.c",
        timeout_s=5, retries=2, growth=LINEAR, failures=3, open_s=30,
        try_s=1.5, backoff_s=0.25),
    # HTTPS/REST, bearer token, 5 s, 1 retry (fast fail), 10 failures open for 120 s.
    Row("Fraud Detection API", "payments", "fraud.example",
        speaks=HTTP1, login=BEARER,
        timeout_s=5, retries=1, growth=FAST_FAIL, failures=10, open_s=120,
        try_s=2.4, backoff_s=0.025),
    # AWS SDK (HTTP), SigV4, 10 s, AWS default (3x), AWS SDK built-in. The SDK retries
    # (test_rekognition.py), so the sidecar does not; its breaker of 5 and 30 s is the bank's own.
    Row("AWS Rekognition", "auth", "rekognition.us-east-1.amazonaws.com",
        speaks=HTTP1, login=SIGV4,
        timeout_s=10, retries=0, growth=(), failures=5, open_s=30),
    # Not in the design document.
    Row("SMS gateway", "auth", "sms-gateway.example",
        speaks=HTTP1, login=BEARER,
        timeout_s=5, retries=2, growth=LINEAR, failures=5, open_s=60,
        try_s=1.5, backoff_s=0.1, retried=GATEWAY_ERRORS),
    # Not in the design document: advice of the clearing house, for which a customer waits 2 s.
    Row("ACH directory", "payments", "directory.ach-network.example",
        speaks=HTTP1, login={"X-Api-Key": "key"}, client="bp-client", address="ach-network.example",
        timeout_s=2, retries=0, growth=(), failures=5, open_s=60),
)
# fmt: on
BreakerTimes = Measured[tuple[Closing, Outage]]
Hangs = Measured[tuple[Hang, Hang]]
OF_THE_GATEWAY = ("oauth.example", "gateway")
"""Fetches the keys of tokens: no retries, and a breaker of 1 s, so that a customer can log in."""

EACH_ROW = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.host)
EACH_RETRYING_ROW = pytest.mark.parametrize(
    "row", [row for row in ROWS if row.retries], ids=lambda row: row.host
)


@pytest.fixture(scope="module")
async def table(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Table]:
    async with running_table(tmp_path_factory.mktemp("table") / "config", ROWS) as running:
        yield running


def test_each_partner_of_the_files_has_a_row(table: Table) -> None:
    assert table.files.own_hosts == {(row.host, row.service) for row in ROWS} | {OF_THE_GATEWAY}


@EACH_ROW
def test_a_file_has_exactly_the_values_of_its_row(table: Table, row: Row) -> None:
    """The times on the wire have no upper limit in the tests below, so a little more shows here."""
    route, policy = table.files.policies(row.host, row.service)
    retries, outliers = route["retries"], policy["outlierDetection"]
    own = {name: seconds(retries[name]) for name in ("perTryTimeout", "backoff") if name in retries}
    assert (seconds(route["timeout"]), retries["attempts"]) == (row.timeout_s, row.retries)
    assert (own.get("perTryTimeout"), own.get("backoff")) == (row.try_s, row.backoff_s)
    opening = (outliers["consecutive5xxErrors"], seconds(outliers["baseEjectionTime"]))
    assert opening == (row.failures, row.open_s)


@EACH_ROW
def test_a_variant_differs_from_the_file_only_in_what_it_measures(table: Table, row: Row) -> None:
    own_route, own_policy = table.files.policies(row.host, row.service)
    times = {"timeout", "retries.perTryTimeout", "retries.backoff"}
    times |= {"outlierDetection.consecutive5xxErrors", "connectionPool.tcp.connectTimeout"}
    ejection = {"outlierDetection.baseEjectionTime", "outlierDetection.interval", "retries.backoff"}
    allowed = {
        NEVER_OPENS: {"outlierDetection.consecutive5xxErrors"},
        SPACING: {"outlierDetection.consecutive5xxErrors", "retries.backoff"},
        TIMEOUT: times,
        TRIES: times,
        EJECTION: ejection,
        BROKEN: ejection,
    }
    for name, differing in allowed.items():
        route, policy = table.files.policies(hosts_of(row)[name], row.service)
        ours = {**flat(own_route), **flat(own_policy)}
        found = {**flat(route), **flat(policy)}
        unequal = {key for key in ours | found if ours.get(key) != found.get(key)}
        assert unequal - differing <= {"route", "rewrite.authority"}, name


@EACH_ROW
def test_a_partner_gets_tls_1_3_and_the_http_that_its_row_says(table: Table, row: Row) -> None:
    first = table.first[row.host]
    http = {HTTP1: "HTTP/1.1", HTTP2: "HTTP/2"}[row.speaks]
    assert (first.tls, first.http) == ("TLSv1.3", http)
    assert (first.method, first.target) == ("POST", f"/first/{row.host}{QUERY}")
    assert (first.host, first.body) == (row.server, row.body)


@EACH_ROW
def test_a_partner_gets_the_banks_certificate_only_if_its_row_says_mtls(
    table: Table, row: Row
) -> None:
    """Each partner here asks for a certificate."""
    assert table.first[row.host].client == row.client


@EACH_ROW
def test_the_credentials_of_a_service_reach_the_partner_unchanged(table: Table, row: Row) -> None:
    headers = table.first[row.host].headers
    assert {name: headers.get(name.lower()) for name in row.login} == row.login
    assert [name for name in headers if name.startswith(("x-envoy-", "x-forwarded-client"))] == []


@EACH_ROW
async def test_a_failing_call_is_tried_as_often_as_its_row_says_with_one_key(
    table: Table, row: Row
) -> None:
    seen = table.scenario(row, f"/tries/{row.host}", then=503)
    assert await table.call(row, f"/tries/{row.host}", **{"Idempotency-Key": "once"}) == 503
    assert [each.key for each in seen.tries] == ["once"] * (1 + row.retries)
    assert {each.body for each in seen.tries} == {row.body}


@EACH_ROW
async def test_only_failures_of_a_partner_are_retried(table: Table, row: Row) -> None:
    async def tries(step: Step) -> tuple[int, int]:
        path = f"/outcome/{step}/{row.host}"
        seen = table.scenario(row, path, script=[step])
        return await table.call(row, path), len(seen.tries)

    retried: list[Step] = [*row.retried, RESET] if row.retries else []
    if row.retries and row.speaks == HTTP2:
        retried.append(REFUSED)
    passed_on = [each for each in (200, 202, *REFUSALS, *SERVER_ERRORS) if each not in retried]
    assert {step: await tries(step) for step in retried} == dict.fromkeys(retried, (200, 2))
    assert {step: await tries(step) for step in passed_on} == {x: (x, 1) for x in passed_on}
    if not row.retries:
        assert await tries(RESET) == (503, 1)


@pytest.fixture(scope="module")
async def spacings(table: Table) -> AsyncIterator[Measured[list[list[float]]]]:
    async for tasks in all_at_once(ROWS, lambda row: experiments.spacing(table, row)):
        yield tasks


@EACH_RETRYING_ROW
async def test_the_waits_before_retries_grow_as_the_row_says(
    table: Table, spacings: Measured[list[list[float]]], row: Row
) -> None:
    """Of the waits before retry n, 1 of 12 or more take over three quarters of retry n's range.

    Envoy draws from the whole range, so 1 of 4 do; fewer than 1 of 12 do once in millions of runs.
    A busy host makes waits longer, never shorter, so it cannot break the test. If the back-off is
    missing, constant, or grows more slowly, no wait is so long, unless a twelfth of the calls is
    delayed by half a back-off.
    """
    waits = await spacings[row.host]
    long = [
        sum(wait > 0.75 * times * BACKOFF_S for wait in each)
        for each, times in zip(waits, row.growth, strict=True)
    ]
    assert min(long) >= LONG_WAITS, long


async def test_the_fast_fail_of_fraud_waits_less_than_a_retry_with_back_off(table: Table) -> None:
    """The clearing house is called through the same sidecar at the same time."""
    rows = {row.system: row for row in ROWS}
    fast, usual = await experiments.first_waits(
        table, rows["Fraud Detection API"], rows["ACH Network"]
    )
    assert statistics.median(fast) < statistics.median(usual)


@pytest.fixture(scope="module")
async def hangs(table: Table) -> AsyncIterator[Hangs]:
    async for tasks in all_at_once(ROWS, lambda row: experiments.hang(table, row)):
        yield tasks


@EACH_ROW
async def test_a_partner_that_never_answers_is_a_504_after_the_rows_timeout(
    hangs: Hangs, row: Row
) -> None:
    """One try may take the whole timeout here, because perTryTimeout is left out."""
    whole, _ = await hangs[row.host]
    assert (whole.status, whole.retries) == (504, 0)
    assert whole.took_s >= EARLY * short_timeout_s(row)
    assert whole.before_reference


@EACH_RETRYING_ROW
async def test_each_try_has_its_part_of_the_timeout(hangs: Hangs, row: Row) -> None:
    """So a partner that never answers is a 504 a little before the row's timeout."""
    _, ordinary = await hangs[row.host]
    try_s = (row.try_s or 0) * short_timeout_s(row) / row.timeout_s
    assert (ordinary.status, ordinary.retries) == (504, row.retries)
    assert ordinary.took_s >= EARLY * try_s * (1 + row.retries)
    assert ordinary.before_reference


@pytest.fixture(scope="module")
async def openings(table: Table) -> AsyncIterator[Measured[Opening]]:
    async for tasks in all_at_once(ROWS, lambda row: experiments.opening(table, row)):
        yield tasks


@EACH_ROW
async def test_exactly_the_rows_failures_in_a_row_open_the_breaker_and_then_no_call_is_made(
    openings: Measured[Opening], row: Row
) -> None:
    expected = Opening(
        after_one_less=0,
        failures=row.failures,
        calls_while_open=0,
        refused_at_once=ANSWERS_AT_ONCE,
        retries_while_open=0,
    )
    assert await openings[row.host] == expected


@pytest.fixture(scope="module")
async def breaker_times(table: Table) -> AsyncIterator[BreakerTimes]:
    async for tasks in all_at_once(ROWS, lambda row: experiments.breaker_times(table, row)):
        yield tasks


@EACH_ROW
async def test_the_breaker_stays_open_for_the_rows_time_and_then_counts_from_zero(
    breaker_times: BreakerTimes, row: Row
) -> None:
    """Envoy has no half-open state: after the time all calls pass, and not one as a probe.

    So one failure does not open the breaker again; it takes the row's failures in a row.
    """
    closing, _ = await breaker_times[row.host]
    assert closing.until_a_call_s >= ejection_s(row)
    assert closing.until_returned_s >= ejection_s(row)
    assert closing.after_one_less == 0
    assert closing.again_until_returned_s >= ejection_s(row)


@EACH_ROW
async def test_a_partner_that_stays_broken_is_tried_again_at_the_rows_pace(
    breaker_times: BreakerTimes, row: Row
) -> None:
    """Envoy would double the ejection time; the control plane limits it (max_ejection_time)."""
    _, outage = await breaker_times[row.host]
    assert outage.failures_for_each_opening >= row.failures
    assert outage.second_ended_before_reference


@EACH_ROW
async def test_a_partner_that_is_down_is_tried_as_often_as_its_row_says(
    table: Table, row: Row
) -> None:
    """The last test: it ends the connections of other experiments."""
    host = hosts_of(row)[NEVER_OPENS]
    before = await table.bench.counters(row.service, host)
    await table.partner(row).close()
    try:
        assert await table.call(row, f"/down/{row.host}") == 503
    finally:
        await table.partner(row).start()
    after = await table.bench.counters(row.service, host)
    assert after["upstream_rq_retry"] - before["upstream_rq_retry"] == row.retries
    assert table.partner(row).arrived(f"/down/{row.host}") == []
