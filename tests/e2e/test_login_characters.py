"""A NUL in any string of a login causes no failure of the bank; PostgreSQL cannot store it."""

from collections.abc import Iterator
from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from gateway.routes import BodyKind, gateway_routes
from sandbox.app import App
from services import contracts
from services.contracts import MethodContract
from tests.rigs.logins import asked, require_done, require_refused
from tests.rigs.running_bank import Bank

pytestmark = pytest.mark.judged_with_its_module

SERVICE = "/bp.auth.v1.AuthService/"
METHODS = contracts.load()
ROUTES = [
    route
    for route in gateway_routes(METHODS)
    if route.method.startswith(SERVICE) and route.body is BodyKind.JSON
]


def _strings(message: Descriptor, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Return the paths of all strings of a message, with the names in JSON."""
    for field in message.fields:
        here = (*path, field.json_name)
        if field.type == FieldDescriptor.TYPE_STRING:
            yield here
        elif field.message_type is not None:
            yield from _strings(field.message_type, here)


def _body(method: MethodContract, changed: tuple[str, ...]) -> dict[str, Any]:
    """Return a request with all its texts on the way to one string, which has a NUL."""
    body: dict[str, Any] = {}
    for path in _strings(method.request):
        if path[:-1] == changed[:-1] or len(path) == 1:
            inner = body
            for name in path[:-1]:
                inner = inner.setdefault(name, {})
            inner[path[-1]] = "a\0b" if path == changed else "text"
    return body


async def test_a_nul_in_any_string_is_no_defect_of_the_bank(bank: Bank, logged_in: App) -> None:
    found: list[str] = []
    tried = 0
    for route in ROUTES:
        method = METHODS[route.method]
        for path in _strings(method.request):
            token = logged_in.phone.access_token if method.scopes else ""
            answer = await bank.call(route.verb, route.template, token, _body(method, path))
            tried += 1
            # A forgotten password has the same answer for every address.
            is_expected = answer.status == 200 and route.template.endswith(":forgot")
            if not is_expected and not (400 <= answer.status < 500 and answer.reason):
                found.append(f"{route.template} {path}: {answer.status} {answer.text}")
    assert found == []
    assert tried > 20


async def test_a_nul_in_the_name_of_a_device_is_refused_after_all_factors(app: App) -> None:
    """The app corrects the name and sends the same picture again."""
    wanted = await asked(app)
    session_id = wanted.body["sessionId"]
    await app.show_face(wanted.body["livenessSessionId"])
    app.phone.device_name = "Ana\0"
    refused = await app.send_face(session_id)
    require_refused(refused, 400, "INVALID_ARGUMENT")
    assert "deviceName" in refused.text
    app.phone.device_name = "Ana's 📱"
    done = require_done(await app.send_face(session_id))
    assert done.body["device"]["deviceName"] == "Ana's 📱"
