"""The steps of a login and of a session, each with a customer who is about to make it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from pyotp.totp import TOTP

from sandbox.app import App
from sandbox.client import Answer
from services.kernel.clock import utc_now
from tests.chaos.logins.books import Books
from tests.rigs.running_bank import Bank

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

    async def answer(self) -> Answer:
        """Send the request, and keep the answer."""
        answer = await self.send()
        self.sent.append(answer)
        return answer


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


async def verify_totp(bank: Bank, _books: Books) -> Ready:
    """The code of an authenticator app, of the next time step because a step counts once."""
    app = await _logged_in(bank)
    enrolled = await app.post("totp", {}, app.phone.access_token)
    codes = TOTP(enrolled.body["secret"])
    confirmed = await app.post("totp:confirm", {"otp": codes.now()}, app.phone.access_token)
    assert confirmed.status == 200, confirmed.text
    session_id = (await app.login()).body["sessionId"]
    later = codes.at(utc_now(), counter_offset=1)
    return Ready(app, partial(app.verify_otp, session_id, later), messages=1)


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
    send = partial(app.post, "step-up", {}, app.phone.access_token)
    return Ready(app, send, messages=2)


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
    "reset": reset,
}
