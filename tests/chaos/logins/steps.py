"""The steps of a login and of a session, each with a customer who is about to make it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial

from pyotp.totp import TOTP

from ops.waiting import until
from sandbox.app import App
from sandbox.client import Answer
from tests.chaos.logins.books import Books
from tests.rigs.running_bank import Bank

TEXTS_WITHIN_S = 30
NEW_PASSWORD = "a heron walks over four quiet fields"

Send = Callable[[], Awaitable[Answer]]


@dataclass
class Ready:
    """A customer who is about to make a step."""

    app: App
    send: Send
    """Sends the step's request; a repetition sends the same request."""
    messages: int = 0
    """How many text messages the customer has when the step has succeeded once."""
    session_id: str = ""
    """The login session, if the customer has one."""
    sent: list[Answer] = field(default_factory=list[Answer])
    step: str = ""
    """The step's name in STEPS."""

    async def answer(self) -> Answer:
        """Send the request, and keep the answer."""
        answer = await self.send()
        self.sent.append(answer)
        return answer

    async def has_texts(self, count: int) -> None:
        """Wait until the customer has `count` text messages; fail if there are more.

        A reset answers before its message is sent.
        """

        async def enough() -> bool:
            return len(await self.app.texts()) >= count

        await until(enough, TEXTS_WITHIN_S, f"{self.step}: {count} text messages")
        assert len(await self.app.texts()) == count, (self.step, "too many text messages")


@dataclass(frozen=True)
class Authenticator:
    """A customer's authenticator app, whose code was confirmed."""

    codes: TOTP
    used: int
    """The time step of the code that confirmed it; the bank accepts each step once."""

    def code(self) -> str:
        """Return a code of a time step that was not used."""
        return self.codes.generate_otp(max(_time_step(self.codes), self.used + 1))


def _time_step(codes: TOTP) -> int:
    return int(time.time()) // codes.interval


async def _app(bank: Bank) -> App:
    return await App.of(bank, await bank.customer())


async def _logged_in(bank: Bank) -> App:
    app = await _app(bank)
    answer = await app.log_in()
    assert answer.status == 200, answer.text
    return app


async def login(bank: Bank, _books: Books) -> Ready:
    """The password of a customer without a device."""
    app = await _app(bank)
    return Ready(app, app.login, messages=1)


async def resend(bank: Bank, books: Books) -> Ready:
    """Another code, whose wait has ended."""
    app = await _app(bank)
    session_id = (await app.login()).body["sessionId"]
    await app.code()
    await books.end_wait(session_id)
    send = partial(app.post, "otp:resend", {"sessionId": session_id})
    return Ready(app, send, messages=2, session_id=session_id)


async def verify_otp(bank: Bank, _books: Books) -> Ready:
    """The code of a new device, so the answer asks for a face."""
    app = await _app(bank)
    session_id = (await app.login()).body["sessionId"]
    return Ready(app, partial(app.verify_otp, session_id, await app.code()), messages=1)


async def _authenticator(app: App) -> Authenticator:
    enrolled = await app.post("totp", {}, app.phone.access_token)
    codes = TOTP(enrolled.body["secret"])
    used = _time_step(codes)
    body = {"otp": codes.generate_otp(used)}
    confirmed = await app.post("totp:confirm", body, app.phone.access_token)
    assert confirmed.status == 200, confirmed.text
    return Authenticator(codes, used)


async def verify_totp(bank: Bank, _books: Books) -> Ready:
    """The code of an authenticator app; the device has no key, so the answer asks for a face."""
    app = await _logged_in(bank)
    authenticator = await _authenticator(app)
    session_id = (await app.login()).body["sessionId"]

    async def send() -> Answer:
        return await app.verify_otp(session_id, authenticator.code())

    return Ready(app, send, messages=1)


async def app_and_key(bank: Bank, _books: Books) -> Ready:
    """A whole login with password, authenticator app and device key: it needs no text message and
    no picture."""
    app = await _logged_in(bank)
    authenticator = await _authenticator(app)
    assert (await app.register_key()).status == 200

    asked: dict[str, Answer] = {}

    async def send() -> Answer:
        """Log in; if only the last step was refused, repeat that step of the same login."""
        if not asked:
            started = await app.login()
            if started.status != 200:
                return started
            session_id = started.body["sessionId"]
            answer = await app.verify_otp(session_id, authenticator.code())
            if answer.status != 200:
                return answer
            asked[session_id] = answer
        ((session_id, answer),) = asked.items()
        return await app.answer_biometric(session_id, answer)

    return Ready(app, send, messages=1)


async def face(bank: Bank, _books: Books) -> Ready:
    """The face of a new device."""
    app = await _app(bank)
    session_id = (await app.login()).body["sessionId"]
    asked = await app.verify_otp(session_id, await app.code())
    await app.show_face(asked.body["livenessSessionId"])
    return Ready(app, partial(app.send_face, session_id), messages=1)


async def key(bank: Bank, _books: Books) -> Ready:
    """The signature of a known device's key."""
    app = await _logged_in(bank)
    assert (await app.register_key()).status == 200
    session_id = (await app.login()).body["sessionId"]
    asked = await app.verify_otp(session_id, await app.code(1))
    challenge = asked.body["deviceKeyChallenge"]["challenge"]
    return Ready(app, partial(app.sign, session_id, challenge), messages=2)


async def refresh(bank: Bank, _books: Books) -> Ready:
    """The current refresh token; a repetition sends the same one."""
    app = await _logged_in(bank)
    return Ready(app, partial(app.refresh, app.phone.refresh_token), messages=1)


async def logout(bank: Bank, _books: Books) -> Ready:
    """The end of a session."""
    app = await _logged_in(bank)
    return Ready(app, app.log_out, messages=1)


async def step_up(bank: Bank, _books: Books) -> Ready:
    """The begin of a step-up, which sends a code."""
    app = await _logged_in(bank)
    return Ready(app, app.begin_step_up, messages=2)


async def change_password(bank: Bank, _books: Books) -> Ready:
    """Another password."""
    app = await _logged_in(bank)
    body = {"currentPassword": app.identity.password, "newPassword": NEW_PASSWORD}
    return Ready(app, partial(app.post, "password:change", body, app.phone.access_token), 1)


async def reset(bank: Bank, _books: Books) -> Ready:
    """Another password, with the code of a reset."""
    app = await _app(bank)
    begun = await app.post("password:forgot", {"email": app.identity.email})
    body = {
        "sessionId": begun.body["sessionId"],
        "otp": await app.code(),
        "newPassword": NEW_PASSWORD,
    }
    return Ready(app, partial(app.post, "password:reset", body), 1)


async def forgot(bank: Bank, _books: Books) -> Ready:
    """The begin of a reset. Its message is sent after the answer."""
    app = await _app(bank)
    return Ready(app, partial(app.post, "password:forgot", {"email": app.identity.email}), 1)


Prepare = Callable[[Bank, Books], Awaitable[Ready]]
STEPS: Mapping[str, Prepare] = {
    "login": login,
    "resend": resend,
    "verify-otp": verify_otp,
    "verify-totp": verify_totp,
    "face": face,
    "key": key,
    "refresh": refresh,
    "logout": logout,
    "step-up": step_up,
    "change password": change_password,
    "forgot": forgot,
    "reset": reset,
    "app and key": app_and_key,
}


async def prepared(bank: Bank, books: Books, steps: Iterable[str]) -> list[Ready]:
    """Return a customer for each step; a step that is named twice gets two."""
    names = [*steps]
    made = await asyncio.gather(*(STEPS[name](bank, books) for name in names))
    for name, ready in zip(names, made, strict=True):
        ready.step = name
    return [*made]


async def answers_of(ready: Iterable[Ready]) -> list[tuple[Ready, Answer]]:
    """Make steps at the same time; return each with its answer."""
    all_of_them = [*ready]
    given = await asyncio.gather(*(each.answer() for each in all_of_them))
    return [*zip(all_of_them, given, strict=True)]
