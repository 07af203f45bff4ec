"""Small Envoy values that every translation needs."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any as Anything

import betterproto2
from envoy_data_plane.envoy.config.core import v3 as core
from envoy_data_plane.envoy.type import v3 as types
from envoy_data_plane.envoy.type.matcher import v3 as matcher
from envoy_data_plane.google.protobuf import Any, Struct

from mesh.controlplane import model
from mesh.controlplane.translate.message_classes import examine_each_class_once

examine_each_class_once()

SecretSource = Callable[[str], core.ConfigSource | None]
"""Returns the source of a secret by its name; None means that the bootstrap contains it."""


def packed(message: betterproto2.Message) -> Any:
    """Return a message as an Any, which Envoy's typed_config requires."""
    return Any.pack(message)


def span(milliseconds: int) -> timedelta:
    """Return milliseconds as a duration."""
    return timedelta(milliseconds=milliseconds)


def tcp(address: model.Address) -> core.Address:
    """Return a TCP address."""
    return core.Address(
        socket_address=core.SocketAddress(address=address.host, port_value=address.port)
    )


def unix(path: Path, mode: int = 0) -> core.Address:
    """Return the address of a Unix socket; `mode` matters only where Envoy listens."""
    return core.Address(pipe=core.Pipe(path=str(path), mode=mode))


def exact(text: str) -> matcher.StringMatcher:
    """Return a matcher for exactly this string."""
    return matcher.StringMatcher(exact=text)


def prefix(text: str) -> matcher.StringMatcher:
    """Return a matcher for strings with this prefix."""
    return matcher.StringMatcher(prefix=text)


def always() -> core.RuntimeFractionalPercent:
    """Return a fraction of 100 %."""
    return core.RuntimeFractionalPercent(
        default_value=types.FractionalPercent(
            numerator=100, denominator=types.FractionalPercentDenominatorType.HUNDRED
        )
    )


def struct(value: Mapping[str, Anything]) -> Struct:
    """Return a JSON object as a protobuf Struct."""
    return Struct.from_dict(value)


def header(key: str, value: str, *, overwrite: bool = True) -> core.HeaderValueOption:
    """Return an instruction to set a header."""
    action = core.HeaderValueOptionHeaderAppendAction
    return core.HeaderValueOption(
        header=core.HeaderValue(key=key, value=value),
        append_action=(action.OVERWRITE_IF_EXISTS_OR_ADD if overwrite else action.ADD_IF_ABSENT),
    )
