"""betterproto2 examines each message class once, and still refuses wrong values."""

import betterproto2
import pytest
from envoy_data_plane.envoy.config.core import v3 as core
from pydantic import ValidationError

from mesh.controlplane.translate.message_classes import examine_each_class_once


def test_the_type_hints_of_a_class_are_resolved_once() -> None:
    examine_each_class_once()
    hints = getattr(core.SocketAddress, "_type_hints")  # noqa: B009
    assert hints() is hints()
    assert hints()["address"] is str
    assert "pipe" not in hints()


def test_a_second_call_changes_nothing() -> None:
    examine_each_class_once()
    before = dict(vars(betterproto2.Message))
    examine_each_class_once()
    assert dict(vars(betterproto2.Message)) == before


@pytest.mark.parametrize("encode", [bytes, betterproto2.Message.to_dict])
def test_a_field_of_a_wrong_type_is_refused_when_the_message_is_encoded(encode: type) -> None:
    message = core.SocketAddress(address="::1", port_value=80)
    encode(message)
    setattr(message, "address", 80)  # noqa: B010
    with pytest.raises(ValidationError):
        encode(message)
