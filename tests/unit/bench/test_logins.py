"""The figures of logins: closed loop, machine's limit, check for revoked sessions, report."""

import asyncio
import json
from pathlib import Path

import pytest

from lab.bench.load.callers import Answers
from lab.bench.meters.bcrypt_limit import limit_per_s
from lab.bench.report import logins
from lab.bench.report.targets import LOGIN, Standing, judge
from lab.bench.variants.login.boundary import check_us
from lab.bench.variants.login.refreshes import key_id
from sandbox.client import Answer

FIGURES = {
    "login.limit_per_s": 8.0,
    **{
        f"{run}.{name}": value
        for run, per_s in (("login", 7.6), ("login.face", 6.0), ("login.key", 7.0), ("refresh", 99))
        for name, value in (("per_s", per_s), ("p50_ms", 700.0), ("p99_ms", 1234.0))
    },
    **{f"{run}.cpu_ms": 260.0 for run in logins.RUNS},
    **{f"{run}.others_share": 0.02 for run in logins.RUNS},
    **{f"{run}.p{p}_ms": 40.0 for run in ("calm", "storm", "calm.after") for p in (50, 99)},
    "storm.p99_ratio": 1.6,
    "storm.logins_per_s": 5.0,
    "storm.busy_answers": 1500,
    "login.new_key.refused": 0,
    "login.new_key.requests": 900,
    "login.check.empty_us": 0.05,
    "login.check.full_us": 0.11,
    "login.logout.p50_s": 0.6,
    "login.logout.p100_s": 1.1,
}
REPORT = {
    "void": False,
    "command": "make bench",
    "machine": "2 cores",
    "time": "2026-11-29T12:00:00+00:00",
    "figures": FIGURES,
}


def _answer(status: int, reason: str = "") -> Answer:
    return Answer(status, "", {"details": [{"reason": reason}]}, {})


def test_answers_of_the_warm_up_count_in_the_total_only() -> None:
    answers = Answers(begun=60.0)
    answers.note(_answer(200), 58.0, 59.0)
    assert (answers.total, answers.ended, answers.took_ms) == (1, [], [])
    assert answers.per_s == 0.0
    assert answers.problems("login") == ["login: no answer"]


def test_the_rate_counts_the_time_between_the_first_and_the_last_answer() -> None:
    answers = Answers(begun=0.0, ended=[10.0, 10.5, 11.0, 12.0], took_ms=[4.0, 1.0, 3.0, 2.0])
    assert answers.per_s == 1.5
    assert answers.percentile_ms(50) == 3.0
    assert answers.problems("login") == []


def test_a_refused_request_is_a_reason_that_makes_the_bench_void() -> None:
    answers = Answers(begun=0.0)
    for _ in range(2):
        answers.note(_answer(429, "RATE_LIMITED"), 1.0, 2.0)
    answers.note(_answer(200), 1.0, 2.0)
    assert answers.problems("login") == ["login: 2 x 429 RATE_LIMITED"]


def test_the_machines_limit_is_measured_in_whole_hashes() -> None:
    assert asyncio.run(limit_per_s(cost=4, seconds=0.05)) > 0


def test_the_check_for_revoked_sessions_is_measured_for_any_number_of_entries() -> None:
    assert check_us(0) > 0
    assert check_us(3_000) > 0


def test_the_key_of_a_token_is_in_its_header() -> None:
    assert key_id("eyJhbGciOiJFUzI1NiIsImtpZCI6ImsxIn0.e30.sig") == "k1"


def test_logins_are_compared_with_the_machines_limit() -> None:
    (share, storm, *_) = (one for one in judge(FIGURES) if one.target in LOGIN)
    assert share.value == pytest.approx(0.95)
    assert (share.standing, storm.standing) == (Standing.MET, Standing.MISSED)


def test_the_tables_have_each_run_and_each_target() -> None:
    text = logins.whole(REPORT)
    for what in (*logins.RUNS.values(), *(target.what for target in LOGIN)):
        assert f"| {what} |" in text
    assert "| 7.6 | 0.95 | 700 | 1,234 | 260 | 2% |" in text


def test_a_void_report_is_not_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "bench.json"
    file.write_text(json.dumps(REPORT | {"void": True, "reason": "two answers were errors"}))
    before = logins.DOCUMENT.read_text()
    assert logins.main([str(file)]) == 1
    assert "two answers were errors" in capsys.readouterr().err
    assert logins.DOCUMENT.read_text() == before


def test_the_document_has_a_place_for_the_figures() -> None:
    document = logins.DOCUMENT.read_text()
    assert document.count(logins.BEGIN) == document.count(logins.END) == 1
