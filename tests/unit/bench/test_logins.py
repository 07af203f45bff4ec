"""The figures of logins: closed loop, machine's limit, check for revoked sessions, report."""

import asyncio
import json
import os
from collections import Counter
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest

from lab.bench.load import callers
from lab.bench.load.callers import Answers, repeat
from lab.bench.meters.bcrypt_limit import limit_per_s
from lab.bench.meters.meter import Spent
from lab.bench.report import logins
from lab.bench.report.targets import LOGIN, Standing, judge
from lab.bench.variants.login import logouts, patience, storm
from lab.bench.variants.login.boundary import check_us
from lab.bench.variants.login.measured import Measured, cpu_ms_by_part, figures
from lab.bench.variants.login.refreshes import key_id
from sandbox.app import NO_ID, READS, App
from sandbox.client import Answer

STEP_S = 0.01
SHORT_S = 10 * STEP_S
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
    "storm.logged_in": 500,
    "storm.crest_p99_ms": 300.0,
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
    return Answer(status, "", {"details": [{"reason": reason}]}, {"retry-after": "0"})


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


def _repeat(codes: dict[str, int], seconds: float, *more: Answer) -> Answers:
    """Run a closed loop with telephones that get a number of codes each; `more` answers first. Only
    its steps take time."""
    first, clock = list(more), SimpleNamespace(now=0.0)

    async def step(telephone: str) -> Answer:
        await asyncio.sleep(0)
        clock.now += STEP_S
        codes[telephone] -= 1
        if codes[telephone] < 0:
            return _answer(429, "OTP_SENDS_EXHAUSTED")
        return first.pop() if first else _answer(200)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(callers, "time", SimpleNamespace(monotonic=lambda: clock.now))
        return asyncio.run(repeat(list(codes), step, at_once=2, warm_up_s=0, seconds=seconds))


def test_a_telephone_without_codes_makes_way_for_others() -> None:
    answers = _repeat({"used up": 0, "one": 10_000, "two": 10_000}, SHORT_S)
    assert answers.problems("login") == []


def test_a_loop_that_runs_out_of_telephones_is_void() -> None:
    answers = _repeat({"one": 3, "two": 1}, 60)
    assert answers.total == 4
    assert answers.problems("login") == ["login: callers without a telephone: 2"]


def test_a_loop_counts_refusals_that_no_telephone_can_cause() -> None:
    answers = _repeat({"one": 10_000, "two": 10_000}, SHORT_S, _answer(429, "RATE_LIMITED"))
    assert answers.problems("login") == ["login: 1 x 429 RATE_LIMITED"]


@pytest.mark.parametrize(
    ("answers", "problems"),
    [
        ([_answer(429, "RATE_LIMITED"), _answer(200)], []),
        ([_answer(503, "DEPENDENCY_UNAVAILABLE")], ["storm: 1 x 503 DEPENDENCY_UNAVAILABLE"]),
        ([_answer(504, "DEADLINE_EXCEEDED")], ["storm: 1 x 504 DEADLINE_EXCEEDED"]),
        ([_answer(429, "TRIES_EXHAUSTED")], ["storm: 1 x 429 TRIES_EXHAUSTED"]),
        ([_answer(429, "RATE_LIMITED")], ["storm: no customer logged in"]),
        ([_answer(200), ConnectionResetError()], ["storm: 1 x ConnectionResetError"]),
    ],
)
def test_a_storm_is_void_unless_customers_log_in_or_come_later(
    answers: list[Answer | OSError], problems: list[str]
) -> None:
    coming = iter(answers)
    found = storm.Storm()

    async def login() -> Answer:
        match next(coming, None):
            case None:
                raise asyncio.CancelledError  # as at the end of a storm
            case OSError() as error:
                raise error
            case answer:
                return answer

    for _ in answers:  # one telephone after the other
        with suppress(asyncio.CancelledError):
            asyncio.run(storm.persist(login, found))
    assert found.problems() == problems
    refusals = [one for one in answers if isinstance(one, Answer) and one.reason == "RATE_LIMITED"]
    assert found.patience.busy == len(refusals)


class _BusyApp(App):
    """An app whose bank asks the first try to come later."""

    def __init__(self) -> None:
        self.tries = 0

    async def login(self, password: str = "", email: str = "") -> Answer:
        self.tries += 1
        return _answer(429, "RATE_LIMITED") if self.tries == 1 else _answer(200)

    async def log_in(self) -> Answer:
        return await self.login()


def test_a_login_that_is_asked_to_come_later_comes_later() -> None:
    found = patience.Patience()
    for step in (found.password, found.log_in):
        app = _BusyApp()
        assert asyncio.run(step(app)).status == 200
        assert app.tries == 2
    assert found.busy == 2


def test_the_token_of_a_logout_is_used_until_every_service_refused_it() -> None:
    reads = Counter[str]()

    async def read(path: str) -> Answer:
        reads[path] += 1
        working = 404 if NO_ID in path else 200
        return _answer(working if reads[path] < 3 else 401)

    asyncio.run(logouts.until_refused(read))
    assert reads == dict.fromkeys(READS.values(), 3)

    async def busy(_: str) -> Answer:
        return _answer(503, "DEPENDENCY_UNAVAILABLE")

    with pytest.raises(RuntimeError, match="503 DEPENDENCY_UNAVAILABLE after a logout"):
        asyncio.run(logouts.until_refused(busy))


def _round(took_ms: list[float], postgres_cpu_s: float, others_cpu_s: float) -> Measured:
    answers = Answers(0.0, [1.0, 2.0], took_ms, total=len(took_ms))
    spent = Spent(10.0, {"auth": 1.0, "postgres": postgres_cpu_s}, others_cpu_s)
    return Measured(answers, spent)


def test_the_figures_of_a_loop_are_those_of_all_its_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    rounds = [_round([1.0, 2.0], 0.0, 2.0), _round([3.0, 400.0], 2.0, 6.0)]
    assert figures(rounds) == {
        "per_s": 1.0,
        "p50_ms": 3.0,
        "p99_ms": 400.0,
        "cpu_ms": 1000.0,
        "others_share": 0.2,
    }
    assert cpu_ms_by_part(rounds) == {"auth": 500.0, "postgres": 500.0}


def test_the_machines_limit_is_measured_in_whole_hashes() -> None:
    assert asyncio.run(limit_per_s(cost=4, seconds=0.05)) > 0


def test_the_check_for_revoked_sessions_is_measured_for_any_number_of_entries() -> None:
    assert check_us(0) > 0
    assert check_us(3_000) > 0


def test_the_key_of_a_token_is_in_its_header() -> None:
    assert key_id("eyJhbGciOiJFUzI1NiIsImtpZCI6ImsxIn0.e30.sig") == "k1"


def test_logins_are_compared_with_the_machines_limit() -> None:
    judged = [one for one in judge(FIGURES) if one.target in LOGIN]
    assert [one.value for one in judged] == [pytest.approx(0.95), 1.6, 0.11, 0, 1.1]
    assert [one.standing for one in judged] == [
        Standing.MET,
        Standing.MISSED,
        *[Standing.MET] * 3,
    ]


def test_the_tables_have_each_run_and_each_target() -> None:
    text = logins.whole(REPORT)
    rest = [what for what, *_ in logins.REST]
    for what in (*logins.RUNS.values(), *(target.what for target in LOGIN), *rest):
        assert f"| {what} |" in text
    assert "| 7.6 | 0.95 | 700 | 1,234 | 260 | 2% |" in text
    assert "later | 1,500 |" in text


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
