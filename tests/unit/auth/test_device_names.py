"""The name of a device is a text that PostgreSQL can store and a screen can show."""

import pytest
from bp.auth.v1 import auth_service_pb2 as pb
from bp.auth.v1 import session_pb2

from services.chassis.boundary import require_valid
from services.kernel.errors import InvalidArgument

SHOWN = ["", "Ana's iPhone", "Ána’s 📱", "👩‍💻 laptop", "Телефон", "アナの電話"]
HIDDEN = ["\0", "\n", "\x1b[31m", "\x7f", "\u202e", "\u200b", "\ue000", "\u2028"]


def _request(name: str) -> pb.VerifyBiometricRequest:
    face = session_pb2.FacePicture(picture=b"a picture")
    return pb.VerifyBiometricRequest(
        session_id="an id", biometric_data=pb.BiometricData(face=face), device_name=name
    )


@pytest.mark.parametrize("name", SHOWN)
def test_a_name_that_a_screen_shows_is_accepted(name: str) -> None:
    require_valid(_request(name))


@pytest.mark.parametrize("character", HIDDEN)
def test_a_control_character_in_a_name_is_refused_with_its_field(character: str) -> None:
    with pytest.raises(InvalidArgument) as raised:
        require_valid(_request(f"Ana{character}'s phone"))
    assert [each.field for each in raised.value.violations] == ["deviceName"]
