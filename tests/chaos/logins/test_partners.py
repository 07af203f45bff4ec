"""Each step of a login while partners fail: a clear refusal, nothing half done, then it works.

The faults of the three partners of logins come at the same time, unless a case says otherwise. The
table NEEDS says which partner a step calls, in order; a step without a partner always works.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from tests.chaos.logins.books import Books, Held
from tests.chaos.logins.outages import close_breakers, fails_in_background
from tests.chaos.logins.steps import STEPS, Ready, answers_of, prepared
from tests.chaos.logins.test_stores import UNAVAILABLE, agreed, assert_refused, no_try_added
from tests.rigs.running_bank import Answer, Bank

pytestmark = pytest.mark.judged_with_its_module

NEEDS: Mapping[str, tuple[str, ...]] = {
    "login": ("sms",),
    "resend": ("sms",),
    "step-up": ("sms",),
    "verify-otp": ("rekognition",),
    "verify-totp": ("rekognition",),
    "face": ("rekognition", "oauth"),
    "key": ("oauth",),
    "refresh": ("oauth",),
    "app and key": ("oauth",),
    # These need no partner for their answer. The message of "forgot" is sent after the answer.
    "forgot": (),
    "reset": (),
    "logout": (),
    "change password": (),
}
TEXTING = ("login", "resend", "step-up", "forgot")
"""The steps that send a text message."""
SENDS_EXHAUSTED = (429, "OTP_SENDS_EXHAUSTED")
THROTTLED = {"status": 429, "reason": "RATE_LIMITED"}
SLOW_MS = 600
"""Shorter than the timeout of one try, which is 1.5 s for the SMS gateway and the provider."""
TOO_SLOW_MS = 12_000
"""Longer than the timeout of Rekognition, which is 10 s."""
TRIES_MAX = {"sms": 3, "rekognition": 4, "oauth": 12}
"""The largest number of requests that a refused step sends to a partner. The provider gets three
for auth's own token and three for the customer's, and auth repeats a refused exchange once."""
LIVENESS = "POST CreateFaceLivenessSession"


@dataclass(frozen=True)
class Fault:
    """A fault of one partner, and what the callers see."""

    spec: Mapping[str, Any]
    refusal: tuple[int, str] | None = UNAVAILABLE
    """None: the step works during the fault."""
    sent: bool = False
    """True if the partner acted although auth got no answer."""


Faults = Mapping[str, Fault]
"""The faults of partners at one time, by partner."""


DOWN = Fault({"kind": "reset"})
BROKEN = Fault({"kind": "http_5xx"})


@dataclass(frozen=True)
class Case:
    """Faults one after the other. A step that was refused by one is repeated during the next."""

    faults: Sequence[Faults]
    more: tuple[str, ...] = ()
    """Further customers for these steps."""


CASES: Mapping[str, Case] = {
    "do not act": Case(
        (
            dict.fromkeys(TRIES_MAX, DOWN),
            dict.fromkeys(TRIES_MAX, BROKEN),
            {
                "sms": Fault({"kind": "reject", "params": THROTTLED}, SENDS_EXHAUSTED),
                "rekognition": Fault({"kind": "reject"}),
                "oauth": Fault({"kind": "reject", "params": THROTTLED}),
            },
            {"oauth": BROKEN},
        )
    ),
    "except the provider fail": Case(({"sms": DOWN, "rekognition": BROKEN},)),
    # The status of the SMS gateway says that it accepted the message; its body adds nothing.
    "cut their answers short": Case(
        (
            {
                "sms": Fault({"kind": "wrong_answer"}, None, sent=True),
                "rekognition": Fault({"kind": "wrong_answer"}),
                "oauth": Fault({"kind": "wrong_answer"}, sent=True),
            },
        )
    ),
    "answer in another form": Case(
        (
            {
                "sms": Fault({"kind": "wrong_answer", "params": {"status": 200}}, sent=True),
                "rekognition": Fault({"kind": "wrong_answer", "params": {"body": []}}),
                "oauth": Fault(
                    {"kind": "wrong_answer", "params": {"fields": {"access_token": ""}}}, sent=True
                ),
            },
        )
    ),
    "answer with another status": Case(
        (
            {
                "sms": Fault({"kind": "reject", "params": {"status": 404}}),
                "rekognition": Fault({"kind": "wrong_answer", "params": {"status": 404}}),
                "oauth": Fault({"kind": "wrong_answer", "params": {"status": 202}}, sent=True),
            },
        )
    ),
    "are slow": Case(
        (
            {
                "sms": Fault({"kind": "latency", "params": {"ms": SLOW_MS}}, None, sent=True),
                "rekognition": Fault({"kind": "latency", "params": {"ms": SLOW_MS}}, None),
                "oauth": Fault({"kind": "latency", "params": {"ms": SLOW_MS}}, None),
            },
        )
    ),
    # Five calls to Rekognition end with their timeout and open its breaker. So the SDK's further
    # tries end at once, and a caller waits for ten seconds and not for forty.
    "are too slow": Case(
        (
            {
                "sms": Fault({"kind": "accept_then_hang"}, sent=True),
                "rekognition": Fault({"kind": "latency", "params": {"ms": TOO_SLOW_MS}}),
                "oauth": Fault({"kind": "accept_then_hang"}, sent=True),
            },
        ),
        more=("verify-otp", "verify-otp"),
    ),
}


def _refusal(faults: Faults, step: str) -> tuple[int, str] | None:
    """Return the refusal of the first partner that a step needs and that fails; None: it works."""
    seen = (faults[partner].refusal for partner in NEEDS[step] if partner in faults)
    return next((refusal for refusal in seen if refusal is not None), None)


def _texts(faults: Faults, step: str) -> int:
    """Return how many text messages a step sends."""
    sms = faults.get("sms")
    return int(step in TEXTING and (sms is None or sms.sent))


async def _heal(bank: Bank) -> None:
    for partner in TRIES_MAX:
        await bank.clear_faults(partner)
    await close_breakers(bank)


async def _fired(bank: Bank, partner: str, fault: str) -> int:
    answer = await bank.control(partner, "GET", f"/control/faults/{fault}")
    return answer.body["fired"]


async def _answers_during(
    bank: Bank, faults: Faults, ready: Sequence[Ready]
) -> list[tuple[Ready, Answer]]:
    """Make steps while partners fail; require that no step calls a partner too often."""
    ids = {partner: await bank.fault(partner, **each.spec) for partner, each in faults.items()}
    try:
        async with _resets_ended(bank, faults, ready):
            answers = await answers_of(ready)
        for partner, fault in ids.items():
            calls = sum(partner in _called(each) for each in ready)
            fired = await _fired(bank, partner, fault)
            assert bool(calls) <= fired <= calls * TRIES_MAX[partner], (partner, fired)
    finally:
        await _heal(bank)
    return answers


def _called(ready: Ready) -> tuple[str, ...]:
    return ("sms",) if ready.step == "forgot" else NEEDS[ready.step]


@asynccontextmanager
async def _resets_ended(bank: Bank, faults: Faults, ready: Sequence[Ready]) -> AsyncGenerator[None]:
    """Wait at the end of the block for the message of a reset, or for its failure."""
    forgets = [each for each in ready if each.step == "forgot"]
    before = [len(await each.app.texts()) for each in forgets]
    sms = faults.get("sms")
    async with AsyncExitStack() as stack:
        if forgets and sms is not None and sms.refusal is not None:
            await stack.enter_async_context(fails_in_background(bank))
        yield
    for each, count in zip(forgets, before, strict=True):
        await each.has_texts(count + _texts(faults, each.step))


async def _refused(bank: Bank, books: Books, faults: Faults, ready: Sequence[Ready]) -> list[Ready]:
    """Make steps while partners fail, and return those that were refused."""
    held = {id(each): await books.of(each.app) for each in ready}
    texts = {id(each): len(await each.app.texts()) for each in ready}
    counted, sends = await books.tries(), await books.sends()
    answers = await _answers_during(bank, faults, ready)
    for each, answer in answers:
        await _assert_seen(books, faults, each, answer, held[id(each)])
        await each.has_texts(texts[id(each)] + _texts(faults, each.step))
    await no_try_added(books, counted)
    if not any(_texts(faults, each.step) for each in ready):
        assert await books.sends() == sends, "an outage used up codes of the day"
    return [each for each in ready if _refusal(faults, each.step) is not None]


async def _assert_seen(
    books: Books, faults: Faults, ready: Ready, answer: Answer, held: Held
) -> None:
    refusal = _refusal(faults, ready.step)
    if refusal is None:
        assert answer.status == 200, (ready.step, answer.text)
        return
    assert_refused(answer, refusal)
    assert (await agreed(books, ready)).rows <= held.rows, (ready.step, "half a login")


@pytest.mark.parametrize("name", CASES)
async def test_each_step_is_refused_while_its_partner_fails_and_works_afterwards(
    bank: Bank, books: Books, name: str
) -> None:
    """The login session still lives afterwards, so no refused step has to begin again."""
    case = CASES[name]
    ready = await prepared(bank, books, (*STEPS, *case.more))
    for faults in case.faults:
        await books.renew()
        ready = await _refused(bank, books, faults, ready)
    for each in ready:
        if each.step == "resend":
            await books.end_wait(each.session_id)
    for each, answer in await answers_of(ready):
        assert answer.status == 200, (each.step, answer.text)
        await agreed(books, each)
