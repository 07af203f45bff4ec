"""`bpctl sandbox customer|face` gives what a customer needs to log in."""

import io
import json

import pytest
import typer
from PIL import Image
from typer.testing import CliRunner, Result

from sandbox.commands import partners
from sandbox.partners.rekognition import pictures
from services.auth.faces import SIMILARITY_PERCENT_MIN


def run(line: str) -> Result:
    """Run `bpctl sandbox …`; its stdout is not a terminal."""
    app = typer.Typer()
    partners.register(app)
    app.callback()(lambda: None)
    return CliRunner().invoke(app, ["sandbox", *line.split()])


def test_a_customer_has_what_the_login_asks_for() -> None:
    """Ana's line of the README."""
    shown = json.loads(run("customer ana --json").stdout)
    assert shown["email"] == "ana@customers.example"
    assert shown["password"] == "ana-Passw0rd-2026"
    assert shown["phone"].startswith("+1555")
    assert shown["locale"] == "es"
    assert shown["pushToken"] == "device-ana"
    text = run("customer ana").stdout
    assert f"phone          {shown['phone']}\n" in text
    assert "first password ana-Passw0rd-2026\n" in text
    assert "push token     device-ana\n" in text


def test_a_face_is_a_jpeg_of_that_person() -> None:
    """Two poses of one person match, and another person does not."""
    stored, one, stranger = (
        run(line).stdout_bytes for line in ("face ana --pose 0", "face ana", "face luis")
    )
    assert Image.open(io.BytesIO(one)).format == "JPEG"
    ana, again, luis = (pictures.faces(picture)[0] for picture in (stored, one, stranger))
    assert pictures.similarity(ana, again) >= SIMILARITY_PERCENT_MIN
    assert pictures.similarity(ana, luis) < SIMILARITY_PERCENT_MIN


def test_a_camera_may_see_two_people() -> None:
    """For attempts that the bank refuses."""
    assert len(pictures.faces(run("face ana --kind two").stdout_bytes)) == 2


@pytest.mark.parametrize("line", ["customer zoe", "face zoe"])
def test_an_unknown_customer_is_refused_with_the_known_names(line: str) -> None:
    """A typing error gets a remedy."""
    result = run(line)
    assert result.exit_code == 2
    assert "ana, luis" in result.output
