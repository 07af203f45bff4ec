"""The saga's next request to the clearing house, and the meaning of each answer."""

from itertools import product
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.payments import saga
from services.payments.partners.ach import queried, recalled, submitted
from services.payments.saga import Answer, NoticeVerdict, Outcome, Step
from services.payments.state import CREDITED_BACK, PENDING, TABLE, Event, State
from services.payments.transfer import Fact, Notice, Transfer, after
from tests.unit.payments.orders import NOW, transfer

PENDING_BY_NAME = sorted(PENDING, key=lambda state: state.name)


@pytest.mark.parametrize("step", list(Step))
def test_no_answer_of_the_clearing_house_is_ever_a_refusal(step: Step) -> None:
    following = saga.after_answer(step, Answer(Outcome.NO_ANSWER))
    expected = Fact(Event.TIMED_OUT) if step is Step.SUBMIT else None
    assert following == expected


def test_an_unknown_transfer_is_recalled_before_anyone_is_refunded() -> None:
    assert saga.after_answer(Step.QUERY, Answer(Outcome.NOT_FOUND)) is Step.RECALL


@pytest.mark.parametrize("step", [Step.SUBMIT, Step.QUERY])
def test_a_refused_transfer_is_recalled_before_anyone_is_refunded_and_keeps_its_reason(
    step: Step,
) -> None:
    refused = Answer(Outcome.REFUSED, reason="INVALID_ACCOUNT")
    assert saga.after_answer(step, refused) is Step.RECALL
    recalled_now = saga.after_answer(Step.RECALL, Answer(Outcome.RECALLED), refused.reason)
    assert recalled_now == Fact(Event.RECALLED, reason="INVALID_ACCOUNT")


@pytest.mark.parametrize("state", PENDING_BY_NAME)
def test_every_answer_of_the_clearing_house_has_a_row_in_every_pending_state(
    state: State,
) -> None:
    """Therefore no answer can stop a driver or be lost without a log line."""
    steps, seen, facts = {saga.FIRST_STEP[state]}, set[Step](), set[Event]()
    while steps:
        seen.add(step := steps.pop())
        for outcome in Outcome:
            match saga.after_answer(step, Answer(outcome)):
                case Step() as following if following not in seen:
                    steps.add(following)
                case Fact(event):
                    facts.add(event)
                case _:
                    pass
    assert {Event.ACCEPTED, Event.RECALLED, Event.COMPLETED, Event.RETURNED} <= facts
    assert [event for event in facts if not TABLE.allows(state, event)] == []


def test_a_recall_that_came_too_late_is_followed_by_a_query_for_the_number() -> None:
    assert saga.after_answer(Step.RECALL, Answer(Outcome.TOO_LATE)) is Step.QUERY


ANSWERS = st.builds(
    Answer,
    st.sampled_from(Outcome),
    trace_number=st.just("991000010000001"),
    reason=st.just("INVALID_ACCOUNT"),
)


@given(st.sampled_from(PENDING_BY_NAME), st.lists(ANSWERS, max_size=12))
def test_a_refund_needs_the_clearing_houses_own_word(state: State, answers: list[Answer]) -> None:
    """For any sequence of answers, the customer is refunded only after RECALLED or RETURNED, never
    after NO_ANSWER, NOT_FOUND or REFUSED alone.
    """
    current = transfer(state)
    step = saga.FIRST_STEP[state]
    for answer in answers:
        current, step = _apply(current, step, answer)
        if current.state in CREDITED_BACK:
            assert answer.outcome in {Outcome.RECALLED, Outcome.RETURNED}
        if current.state not in PENDING:
            return


def _apply(current: Transfer, step: Step, answer: Answer) -> tuple[Transfer, Step]:
    following = saga.after_answer(step, answer)
    if isinstance(following, Step):
        return current, following
    if following is None:
        return current, saga.FIRST_STEP[current.state]
    moved, _ = after(current, following, NOW)
    return moved, saga.FIRST_STEP.get(moved.state, step)


_O = Outcome
ACH_ANSWERS = [
    # status and body; the outcome for a submission, for a query, for a recall
    (202, {"achTraceNumber": "1"}, _O.ACCEPTED, _O.NO_ANSWER, _O.NO_ANSWER),
    (200, {"achTraceNumber": "1", "state": "ACCEPTED"}, _O.NO_ANSWER, _O.ACCEPTED, _O.NO_ANSWER),
    (200, {"achTraceNumber": "1", "state": "SETTLED"}, _O.NO_ANSWER, _O.SETTLED, _O.NO_ANSWER),
    (200, {"achTraceNumber": "1", "state": "RETURNED", "returnReasonCode": "R02"},
     _O.NO_ANSWER, _O.RETURNED, _O.NO_ANSWER),  # with a return code
    (200, {"achTraceNumber": None, "state": "CANCELLED"}, _O.NO_ANSWER, _O.RECALLED, _O.RECALLED),
    (200, {"achTraceNumber": None, "state": "REJECTED", "rejectCode": "INVALID_ACCOUNT"},
     _O.NO_ANSWER, _O.REFUSED, _O.NO_ANSWER),  # the answer to its submission was lost
    (200, {"achTraceNumber": None, "state": "REJECTED"}, _O.NO_ANSWER, _O.NO_ANSWER, _O.NO_ANSWER),
    (404, {"error": {"code": "NOT_FOUND"}}, _O.NO_ANSWER, _O.NOT_FOUND, _O.NO_ANSWER),
    (404, {}, _O.NO_ANSWER, _O.NO_ANSWER, _O.NO_ANSWER),
    (409, {"error": {"code": "CANCELLED"}}, _O.RECALLED, _O.NO_ANSWER, _O.NO_ANSWER),
    (409, {"error": {"code": "TOO_LATE"}}, _O.NO_ANSWER, _O.NO_ANSWER, _O.TOO_LATE),
    (422, {"error": {"code": "INVALID_ACCOUNT"}}, _O.REFUSED, _O.NO_ANSWER, _O.NO_ANSWER),
    (400, {"error": {"code": "INVALID_REQUEST"}}, _O.REFUSED, _O.NO_ANSWER, _O.NO_ANSWER),
    (400, {}, _O.NO_ANSWER, _O.NO_ANSWER, _O.NO_ANSWER),
    (403, {"error": {"code": "CLIENT_NOT_ALLOWED"}}, _O.NO_ANSWER, _O.NO_ANSWER, _O.NO_ANSWER),
    (408, {"error": {"code": "REQUEST_TIMEOUT"}}, _O.NO_ANSWER, _O.NO_ANSWER, _O.NO_ANSWER),
    (409, {"error": {"code": "CONFLICT"}}, _O.NO_ANSWER, _O.NO_ANSWER, _O.NO_ANSWER),
    (425, {"error": {"code": "TOO_EARLY"}}, _O.NO_ANSWER, _O.NO_ANSWER, _O.NO_ANSWER),
    (429, {"error": {"code": "TOO_MANY_REQUESTS"}}, _O.NO_ANSWER, _O.NO_ANSWER, _O.NO_ANSWER),
    (401, {"error": {"code": "INVALID_API_KEY"}}, _O.NO_ANSWER, _O.NO_ANSWER, _O.NO_ANSWER),
    (503, {}, _O.NO_ANSWER, _O.NO_ANSWER, _O.NO_ANSWER),
    (202, {}, _O.NO_ANSWER, _O.NO_ANSWER, _O.NO_ANSWER),
    (0, {}, _O.NO_ANSWER, _O.NO_ANSWER, _O.NO_ANSWER),
]  # fmt: skip


@pytest.mark.parametrize(("status", "body", "submit", "query", "recall"), ACH_ANSWERS)
def test_answers_of_the_clearing_house_are_read_without_guessing(
    status: int, body: dict[str, object], submit: Outcome, query: Outcome, recall: Outcome
) -> None:
    read = (submitted(status, body), queried(status, body), recalled(status, body))
    assert tuple(answer.outcome for answer in read) == (submit, query, recall)


@pytest.mark.parametrize(
    ("asked_in", "state", "event"), list(product(saga.FIRST_STEP, State, Event))
)
def test_of_overtaken_facts_only_the_recall_of_a_submitted_transfer_remains(
    asked_in: State, state: State, event: Event
) -> None:
    fact = Fact(event, reason="ACCOUNT_CLOSED")
    remaining_fact = saga.if_overtaken(asked_in, transfer(state), fact)
    if (state, event) != (State.SUBMITTED, Event.RECALLED):
        assert remaining_fact is None
    else:
        of_customer = asked_in is State.CANCELLING
        assert remaining_fact == (Fact(Event.CANCEL_ASKED) if of_customer else fact)


UNHOLDABLE = ["991\0", "9" * 256]
"""Text that neither a column nor an event can store; it would fail the statement of a whole
batch."""


@pytest.mark.parametrize("text", UNHOLDABLE, ids=["NUL", "too long"])
def test_text_that_no_store_can_hold_is_no_answer_of_the_clearing_house(text: str) -> None:
    trace: dict[str, object] = {"achTraceNumber": text, "state": "SETTLED"}
    code: dict[str, object] = {
        "achTraceNumber": "1", "state": "RETURNED", "returnReasonCode": text,
    }  # fmt: skip
    assert submitted(202, trace).outcome is Outcome.NO_ANSWER
    assert queried(200, trace).outcome is Outcome.NO_ANSWER
    assert queried(200, {"state": "REJECTED", "rejectCode": text}).outcome is Outcome.NO_ANSWER
    assert submitted(422, {"error": {"code": text}}).outcome is Outcome.NO_ANSWER
    assert recalled(409, {"error": {"code": "TOO_LATE"}, **trace}).trace_number == ""
    assert queried(200, code).return_code == ""


def _notice(notice_type: str) -> Notice:
    code = "R03" if notice_type == "transfer.returned" else ""
    return Notice("n1", notice_type, "991000010000001", None, code)


@pytest.mark.parametrize(("state", "kind"), list(product(State, ("completed", "returned"))))
def test_a_notice_moves_a_transfer_on_or_changes_nothing(state: State, kind: str) -> None:
    fact = saga.fact_of_notice(_notice(f"transfer.{kind}"))
    assert fact is not None
    legal = TABLE.allows(state, fact.event)
    verdict = saga.judge_notice(transfer(state), fact, legal=legal)
    assert (verdict is NoticeVerdict.APPLY) == legal
    left_after_its_refund = state in {State.FAILED, State.CANCELLED}
    assert (verdict is NoticeVerdict.CONFLICT) == left_after_its_refund


def test_a_notice_with_another_trace_number_is_a_conflict() -> None:
    other = transfer(State.SUBMITTED, trace_number="991000010000002")
    fact = saga.fact_of_notice(_notice("transfer.completed"))
    assert fact is not None
    assert saga.judge_notice(other, fact, legal=True) is NoticeVerdict.CONFLICT


@given(st.integers(0, 10_000))
def test_waits_between_questions_grow_to_a_minute(attempts: int) -> None:
    assert 1 <= saga.retry_after_s(transfer(attempts=attempts)) <= 60


TRACE = "991000010000001"
CONFLICT = NoticeVerdict.CONFLICT
LATE_ANSWERS = [
    # the clearing house's answer, and what it means to an overdue SUBMITTED transfer
    (Answer(_O.ACCEPTED, TRACE), None),
    (Answer(_O.NO_ANSWER), None),
    (Answer(_O.SETTLED, TRACE), "transfer.completed"),
    (Answer(_O.RETURNED, TRACE, return_code="R02"), "transfer.returned"),
    (Answer(_O.NOT_FOUND), CONFLICT),
    (Answer(_O.RECALLED), Fact(Event.RECALLED, reason="ACH_UNAVAILABLE")),
    (Answer(_O.ACCEPTED, "991000010000002"), CONFLICT),
    (Answer(_O.SETTLED, "991000010000002"), CONFLICT),
    (Answer(_O.RETURNED, "991000010000002", return_code="R02"), CONFLICT),
]  # fmt: skip


@pytest.mark.parametrize(("answer", "meaning"), LATE_ANSWERS)
def test_a_late_query_acts_like_the_lost_notice_or_changes_nothing(
    answer: Answer, meaning: str | Fact | NoticeVerdict | None
) -> None:
    overdue = transfer(State.SUBMITTED, trace_number=TRACE)
    finding = saga.after_late_query(overdue, answer)
    if not isinstance(meaning, str):
        assert finding == meaning
        return
    assert isinstance(finding, Notice)
    assert (finding.type, finding.transfer_id) == (meaning, overdue.transfer_id)
    assert (finding.trace_number, finding.return_code) == (TRACE, answer.return_code)
    assert saga.fact_of_notice(finding) == saga.fact_of_settlement(answer)
    again = saga.after_late_query(overdue, answer)
    assert isinstance(again, Notice)
    assert again.notice_id == finding.notice_id


OLD, NEW = UUID(int=1), UUID(int=2)
RETURNED, COMPLETED = Fact(Event.RETURNED), Fact(Event.COMPLETED)
TRACED = [
    # the transfers with the number, newest first, the notice's fact, and the transfer it is about
    ({}, COMPLETED, None),
    ({NEW: State.SUBMITTED}, COMPLETED, NEW),
    ({NEW: State.COMPLETED}, COMPLETED, NEW),
    ({NEW: State.SUBMITTED, OLD: State.COMPLETED}, COMPLETED, NEW),
    ({NEW: State.FAILED, OLD: State.SUBMITTED}, COMPLETED, OLD),
    ({NEW: State.SUBMITTED, OLD: State.COMPLETED}, RETURNED, CONFLICT),
    ({NEW: State.RETURNED, OLD: State.RETURNED}, RETURNED, NEW),
    ({NEW: State.SUBMITTED}, None, NEW),
]


@pytest.mark.parametrize(("known", "fact", "found"), TRACED)
def test_a_notice_with_only_a_trace_number_is_about_the_only_transfer_that_fits(
    known: dict[UUID, State], fact: Fact | None, found: UUID | NoticeVerdict | None
) -> None:
    """Numbers restart after some years, and a new transfer got an old transfer's return."""
    assert saga.transfer_of_trace(known, fact) == found


@given(st.integers(0, 10_000))
def test_an_unsettled_transfer_is_asked_for_after_hours_and_then_daily(attempts: int) -> None:
    overdue, day_s = transfer(State.SUBMITTED, attempts=attempts), 24 * 3600
    wait_s = saga.ask_again_after_s(overdue, Answer(_O.ACCEPTED, TRACE), 6 * day_s)
    assert day_s / 4 <= wait_s <= day_s
    assert saga.ask_again_after_s(overdue, Answer(_O.NO_ANSWER), 6 * day_s) <= 60


@pytest.mark.parametrize("state", PENDING_BY_NAME)
def test_a_pending_transfer_that_has_settled_meanwhile_ends_by_the_querys_answer(
    state: State,
) -> None:
    fact = saga.after_answer(Step.QUERY, Answer(_O.RETURNED, TRACE, return_code="R02"))
    assert isinstance(fact, Fact)
    moved, _ = after(transfer(state), fact, NOW)
    assert (moved.state, moved.return_code, moved.trace_number) == (State.RETURNED, "R02", TRACE)
