"""`bpctl sandbox outbox` reads the messages of running partners."""

import asyncio
import json
import re
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ops.bpctl.connections import ENDPOINTS, SUPERVISOR_SOCKET
from sandbox.partners.fcm.devices import Devices
from sandbox.partners.journal import Journal
from tests.contract.partners.processes import PartnerProcess, running
from tests.contract.partners.texts import BODY, ended, gateway, sent
from tests.rigs.bpctl import bpctl

NUMBER = "+15550100031"
NONE = "No messages. Check the receiver, such as +15556416073 or device-ana.\n"
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ  ")


@pytest.fixture
def home() -> Iterator[Path]:
    """The home of a bank of which only the supervisor's socket is there."""
    with (
        tempfile.TemporaryDirectory(prefix="bpo-") as folder,
        socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening,
    ):
        listening.bind(f"{folder}/{SUPERVISOR_SOCKET}")
        listening.listen()
        yield Path(folder)


async def outbox(home: Path, partner: PartnerProcess, *arguments: str, said: str = "") -> str:
    """Run the command while the partner runs; return what it prints. `said` is its stderr."""
    variable = f"BP_PARTNER_{partner.name.upper()}_CONTROL_SOCKET"
    where = {"BP_RUN": str(home), variable: partner.config["control_socket"]}
    (home / ENDPOINTS).write_text(json.dumps(where))
    done = await asyncio.to_thread(bpctl, home, "sandbox", "outbox", *arguments)
    assert (done.returncode, done.stderr) == (0, said)
    return done.stdout


async def test_an_outbox_shows_the_delivered_sms_of_a_number_newest_last(
    certs: Path, tmp_path: Path, home: Path
) -> None:
    async with gateway(tmp_path, certs) as sms:
        assert await outbox(home, sms, "sms", "--to", NUMBER, said=NONE) == ""
        none = await outbox(home, sms, "sms", "--to", NUMBER, "--json")
        assert json.loads(none) == {"messages": []}
        ids = [await sent(sms, to=NUMBER, body=body) for body in ("first \u202e", BODY)]
        await sent(sms, to="+15550100032")
        await sent(sms, to="+15550100404")
        for message_id in ids:
            await ended(sms, message_id)
        text = await outbox(home, sms, "sms", "--to", NUMBER)
        first, _, second = text.partition("\n")
        assert TIME.match(first)
        assert first.endswith("  BPBank: first \ufffd")
        assert second.endswith(f"  BPBank: {BODY}\n")
        shown = json.loads(await outbox(home, sms, "sms", "--to", NUMBER, "--json"))["messages"]
        assert [one["messageId"] for one in shown] == ids
        one = json.loads(await outbox(home, sms, "sms", "--to", NUMBER, "--limit", "1", "--json"))
        assert [message["body"] for message in one["messages"]] == [BODY]
        assert await outbox(home, sms, "sms", "--to", "+15550100404", said=NONE) == ""


async def test_an_outbox_shows_the_push_messages_of_a_device_without_the_replaced_ones(
    certs: Path, tmp_path: Path, home: Path
) -> None:
    journal = Journal(tmp_path / "state" / "fcm.journal")
    devices = Devices(journal)
    for number, tag in enumerate(("a", "b", "a")):
        devices.deliver(f"m{number}", pushed(f"text {number}", tag), f"2026-03-10T10:00:0{number}Z")
    journal.close()
    public = {
        "client_email": "push@bp-sandbox.example",
        "private_key_id": "1",
        "public_key": str(certs / "fcm-service-account.pub.pem"),
    }
    async with running(
        "fcm", tmp_path, certs, project_id="bp-sandbox", service_account=public
    ) as fcm:
        text = await outbox(home, fcm, "push", "--to", "phone+1 a")
        assert text.splitlines() == [
            "2026-03-10T10:00:01Z  BP: text 1",
            "2026-03-10T10:00:02Z  BP: text 2",
        ]
        shown = json.loads(await outbox(home, fcm, "push", "--to", "phone+1 a", "--json"))
        assert [one["id"] for one in shown["messages"]] == ["m1", "m2"]


def pushed(body: str, tag: str) -> dict[str, Any]:
    return {
        "token": "phone+1 a",
        "notification": {"title": "BP", "body": body},
        "android": {"notification": {"tag": tag}},
    }
