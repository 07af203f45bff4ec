"""`bpctl sandbox outbox`: what a customer's telephone shows, as SMS and as push messages."""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

import typer

from sandbox.commands.partner_control import Json, Partner, control

LIMIT_MAX = 10_000
Message = dict[str, Any]


class Channel(StrEnum):
    """How messages reach the telephone."""

    SMS = "sms"
    PUSH = "push"


def outbox(
    channel: Annotated[Channel, typer.Argument(help="The kind of message.")],
    to: Annotated[
        str, typer.Option(help="A number in E.164 form (sms), or a push token, such as device-ana.")
    ],
    limit: Annotated[
        int, typer.Option(min=1, max=LIMIT_MAX, help="Read only the newest messages.")
    ] = 100,
    as_json: Json = False,
) -> None:
    """Print the messages that a telephone shows, the newest last.

    An SMS is shown when it is delivered. A push message replaces an earlier one with the same tag.
    """
    partner, parameter, line = _CHANNELS[channel]
    query = urllib.parse.urlencode({parameter: to, "limit": limit})
    shown: list[Message] = control(partner, "GET", f"/control/messages?{query}")["shown"]
    if as_json:
        typer.echo(json.dumps({"messages": shown}))
        return
    if not shown:
        typer.echo("No messages. Check the receiver, such as +15556416073 or device-ana.", err=True)
    for message in shown:
        typer.echo(_printable(line(message)))


def _sms_line(message: Message) -> str:
    return f"{_time(message['createTime'])}  {message['from']}: {message['body']}"


def _push_line(message: Message) -> str:
    said = message["message"].get("notification", {})
    return f"{_time(message['time'])}  {said.get('title', '')}: {said.get('body', '')}"


def _time(text: str) -> str:
    """Return a time of a partner in UTC and in whole seconds, as RFC 3339 writes it."""
    return f"{datetime.fromisoformat(text).astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _printable(text: str) -> str:
    """Replace characters that could control the operator's terminal."""
    return "".join(char if char.isprintable() or char == "\n" else "�" for char in text)


_CHANNELS: dict[Channel, tuple[Partner, str, Callable[[Message], str]]] = {
    Channel.SMS: (Partner.SMS, "to", _sms_line),
    Channel.PUSH: (Partner.FCM, "device", _push_line),
}
"""A channel -> its partner, the query parameter of the receiver, and the text of one message."""
