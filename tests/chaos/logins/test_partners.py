"""Each step of a login while a partner fails: a clear refusal, nothing half done, then it works.

The three partners of logins fail at once. Only a face needs two of them.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.chaos.logins.books import Books
from tests.chaos.logins.outages import close_breakers
from tests.chaos.logins.steps import STEPS, Ready
from tests.chaos.logins.test_stores import UNAVAILABLE, agreed, assert_refused
from tests.rigs.running_bank import Answer, Bank

SMS = ("login", "resend", "step-up")
FACES = ("verify-otp", "face")
TOKENS = ("key", "refresh")
STEPS_OF = {"sms": SMS, "rekognition": FACES, "oauth": TOKENS}
SENDS_EXHAUSTED = (429, "OTP_SENDS_EXHAUSTED")
THROTTLED = {"status": 429, "reason": "RATE_LIMITED"}


@dataclass(frozen=True)
class Fault:
    """A fault of one partner, and what the callers see."""

    spec: Mapping[str, Any]
    refusal: tuple[int, str] | None = UNAVAILABLE
    """None: the step works during the fault."""
    sent: bool = False
    """True if the partner acted although auth got no answer."""


@dataclass(frozen=True)
class Round:
    """A fault of each partner at once."""

    sms: Fault
    rekognition: Fault
    oauth: Fault
    steps: frozenset[str] = field(default=frozenset((*SMS, *FACES, *TOKENS)))


def _same(**spec: Any) -> Round:
    fault = Fault(spec)
    return Round(fault, fault, fault)


ROUNDS: Mapping[str, Round] = {
    "refuse connections": _same(kind="reset"),
    "answer with server errors": _same(kind="http_5xx"),
    "throttle": Round(
        sms=Fault({"kind": "reject", "params": THROTTLED}, SENDS_EXHAUSTED),
        rekognition=Fault({"kind": "reject"}),
        oauth=Fault({"kind": "reject", "params": THROTTLED}),
    ),
    # The status of the SMS gateway says that it accepted the message; its body adds nothing.
    "answer wrongly": Round(
        sms=Fault({"kind": "wrong_answer"}, None, sent=True),
        rekognition=Fault({"kind": "wrong_answer"}),
        oauth=Fault({"kind": "wrong_answer"}, sent=True),
    ),
    "act and never answer": Round(
        sms=Fault({"kind": "accept_then_hang"}, sent=True),
        rekognition=Fault({"kind": "accept_then_hang", "count": 1}, None),
        oauth=Fault({"kind": "accept_then_hang"}, sent=True),
        # The SDK repeats a call to Rekognition, so a face would get as far as the hanging provider.
        steps=frozenset({*SMS, *FACES, *TOKENS} - {"face"}),
    ),
}


async def _break(bank: Bank, fault: Round) -> None:
    for partner in STEPS_OF:
        chosen: Fault = getattr(fault, partner)
        await bank.fault(partner, **chosen.spec)


async def _heal(bank: Bank) -> None:
    for partner in STEPS_OF:
        await bank.clear_faults(partner)
    await close_breakers(bank)


def _fault_of(fault: Round, step: str) -> Fault:
    (partner,) = (partner for partner, steps in STEPS_OF.items() if step in steps)
    return getattr(fault, partner)


@pytest.mark.parametrize("name", ROUNDS)
async def test_each_step_is_refused_while_its_partner_fails_and_works_afterwards(
    bank: Bank, books: Books, name: str
) -> None:
    fault = ROUNDS[name]
    steps = sorted(fault.steps)
    made = await asyncio.gather(*(STEPS[step](bank, books) for step in steps))
    ready: dict[str, Ready] = dict(zip(steps, made, strict=True))
    held = {step: await books.of(each.app) for step, each in ready.items()}
    counted, sends = await books.tries(), await books.sends()
    await _break(bank, fault)
    try:
        answers = await asyncio.gather(*(each.answer() for each in ready.values()))
    finally:
        await _heal(bank)
    for step, answer in zip(steps, answers, strict=True):
        seen, each = _fault_of(fault, step), ready[step]
        _assert_seen(step, answer, seen)
        texts = each.messages if step not in SMS or seen.sent else each.messages - 1
        assert len(await each.app.texts()) == texts, (step, "a wrong number of text messages")
        if seen.refusal is not None:
            assert (await agreed(books, each)).rows <= held[step].rows, (step, "half a login")
    assert await books.added(counted) == {}
    if not fault.sms.sent:
        assert await books.sends() == sends, "an outage used up codes of the day"
    await _assert_works(books, fault, ready)


def _assert_seen(step: str, answer: Answer, fault: Fault) -> None:
    if fault.refusal is None:
        assert answer.status == 200, (step, answer.text)
    else:
        assert_refused(answer, fault.refusal)


async def _assert_works(books: Books, fault: Round, ready: Mapping[str, Ready]) -> None:
    """Repeat the refused steps. The login session still lives, so none has to begin again."""
    again = {s: each for s, each in ready.items() if _fault_of(fault, s).refusal is not None}
    if "resend" in again and fault.sms.sent:
        await books.end_wait(again["resend"].session_id)
    answers = await asyncio.gather(*(each.answer() for each in again.values()))
    for step, answer in zip(again, answers, strict=True):
        assert answer.status == 200, (step, answer.text)
    for each in again.values():
        await agreed(books, each)
