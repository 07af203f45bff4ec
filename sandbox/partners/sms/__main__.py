"""`python -m sandbox.partners.sms --config FILE.json`: the SMS gateway as a process."""

import time

from aiohttp import web

from sandbox.partners.control import control_app, number
from sandbox.partners.faults import Faults
from sandbox.partners.server import Partner, answer, main
from sandbox.partners.settings import SmsSettings
from sandbox.partners.sms.api import sms_app
from sandbox.partners.sms.carrier import Carrier
from sandbox.partners.sms.messages import State
from sandbox.partners.sms.wire import on_the_phone
from sandbox.partners.webhook_control import add_webhooks

MESSAGES_DEFAULT = 100
MESSAGES_MAX = 10_000


class _Phones:
    def __init__(self, carrier: Carrier) -> None:
        self._carrier = carrier

    async def messages(self, request: web.Request) -> web.StreamResponse:
        limit = number(request, "limit", MESSAGES_DEFAULT, MESSAGES_MAX)
        # In a query, an unescaped + arrives as a space.
        to = request.query.get("to", "").replace(" ", "+")
        now = time.time()
        found = [on_the_phone(message, now) for message in self._carrier.newest(to, limit)]
        shown = [message for message in found if message["state"] == State.DELIVERED]
        return answer({"count": len(found), "messages": found, "shown": shown})


def build(settings: SmsSettings) -> Partner:
    """Wire the SMS gateway; its state is restored from the journals."""
    faults, carrier = Faults(), Carrier(settings)
    control = control_app("sms", faults, carrier.counts)
    control.router.add_get("/control/messages", _Phones(carrier).messages)
    add_webhooks(control, carrier.sender, carrier)
    return Partner(
        app=sms_app(settings, carrier, faults),
        control=control,
        background=[carrier.sender.run, carrier.tick],
        closers=[carrier.close],
    )


if __name__ == "__main__":
    main("sms", SmsSettings, build)
