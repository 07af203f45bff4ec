"""`python -m sandbox.partners.fcm --config FILE.json`: Firebase Cloud Messaging as a process."""

from typing import Any

from aiohttp import web

from sandbox.partners.control import ControlError, control_app, number
from sandbox.partners.faults import Faults
from sandbox.partners.fcm.api import Messaging
from sandbox.partners.fcm.devices import Devices, shown
from sandbox.partners.fcm.tokens import TokenIssuer
from sandbox.partners.journal import Journal
from sandbox.partners.server import REQUEST_BYTES_MAX, Partner, answer, main
from sandbox.partners.settings import FcmSettings

MESSAGES_DEFAULT = 100
MESSAGES_MAX = 10_000


class _Control:
    def __init__(self, messaging: Messaging, devices: Devices) -> None:
        self._messaging = messaging
        self._devices = devices

    def counts(self) -> dict[str, Any]:
        return {
            "messages": self._devices.messages,
            "devices": len(self._devices.counts()),
            "refused": dict(self._messaging.refused),
        }

    async def list_devices(self, _request: web.Request) -> web.StreamResponse:
        counts = self._devices.counts()
        return answer({"devices": [{"token": k, "messages": v} for k, v in counts.items()]})

    async def list_messages(self, request: web.Request) -> web.StreamResponse:
        device = request.query.get("device", "")
        if not device:
            raise ControlError(400, "query device (a registration token) is required")
        limit = number(request, "limit", MESSAGES_DEFAULT, MESSAGES_MAX)
        delivered = self._devices.delivered(device, limit)
        total = self._devices.counts().get(device, 0)
        return answer({"count": total, "delivered": delivered, "shown": shown(delivered)})


def build(settings: FcmSettings) -> Partner:
    """Wire FCM; the delivered messages are restored from the journal."""
    journal = Journal(settings.state_dir / "fcm.journal")
    faults, devices = Faults(), Devices(journal)
    messaging = Messaging(settings.project_id, TokenIssuer(settings), devices)
    app = web.Application(middlewares=[faults.middleware], client_max_size=REQUEST_BYTES_MAX)
    app.router.add_post("/token", messaging.token)
    app.router.add_post("/v1/projects/{project}/messages:send", messaging.send)
    control = _Control(messaging, devices)
    controls = control_app("fcm", faults, control.counts)
    controls.router.add_get("/control/devices", control.list_devices)
    controls.router.add_get("/control/messages", control.list_messages)
    return Partner(app=app, control=controls, closers=[journal.close])


if __name__ == "__main__":
    main("fcm", FcmSettings, build)
