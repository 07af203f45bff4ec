"""`bpctl sandbox customer|face`: what a customer types to log in, and shows to the camera."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from typing import Annotated

import typer

from ops.bpctl import connections
from sandbox.commands.partner_control import Json
from sandbox.seed import faces, people

POSE_MAX = 1_000
USER_NAME = typer.Argument(help="User name, such as ana.")
LABELS = {"email": "e-mail", "password": "first password", "pushToken": "push token"}
"""Key of the JSON -> its label in the text, where they differ."""
PEOPLE = {person.user_name: person for person in people.NAMED}


class Kind(StrEnum):
    """What the camera sees."""

    LIVE = "live"
    PHOTO_OF_PHOTO = "photo_of_photo"
    NOBODY = "nobody"
    TWO = "two"


SEEN = f"What the camera sees: {', '.join(Kind)}."


def customer(user_name: Annotated[str, USER_NAME], as_json: Json = False) -> None:
    """Print a customer's e-mail address, first password, telephone number, push token and language.

    A changed password is not shown, because the bank stores only its hash.
    """
    known = _required(user_name)
    shown = {
        "email": known.email,
        "password": people.password(user_name),
        "phone": people.phone(user_name),
        "pushToken": people.device_token(user_name),
        "locale": known.locale,
    }
    if as_json:
        typer.echo(json.dumps(shown))
        return
    for name, value in shown.items():
        typer.echo(f"{LABELS.get(name, name):14} {value}")


def face(
    user_name: Annotated[str, USER_NAME],
    pose: Annotated[int, typer.Option(min=0, max=POSE_MAX, help="Another picture.")] = 1,
    kind: Annotated[Kind, typer.Option(help=SEEN, metavar="KIND")] = Kind.LIVE,
) -> None:
    """Write a picture of a customer's face to stdout, a JPEG of less than 20 KB.

    Pose 0 is the picture that the bank has stored.
    """
    _required(user_name)
    if sys.stdout.isatty():
        connections.fail("The picture is binary. Write it to a file with `> face.jpg`.", 2)
    typer.echo(faces.picture(user_name, pose=pose, kind=kind.value), nl=False)


def _required(user_name: str) -> people.Person:
    """Return a named customer; exit with the known names for another one."""
    known = PEOPLE.get(user_name)
    if known is None:
        connections.fail(
            f"The sandbox has no customer {user_name!r}. Choose one of: {', '.join(PEOPLE)}.", 2
        )
    return known
