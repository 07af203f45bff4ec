"""Small Envoy values that every translation needs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
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
_ENDPOINTS_MS_MAX = 2000


@dataclass(frozen=True, slots=True)
class Sources:
    """How a proxy gets what its resources name.

    With `streamed`, endpoints, routes and the settings of filters are resources of their own, which
    the proxy subscribes to. Otherwise they are inside the resource that names them.
    """

    streamed: bool
    secret: SecretSource


def by_stream(wait_ms_max: int | None = None) -> core.ConfigSource:
    """Return the source of what comes by the proxy's one stream to the control plane.

    A resource that names an absent one waits for it for `wait_ms_max`: 0 is without a limit, None
    is Envoy's 15 seconds.
    """
    return core.ConfigSource(
        ads=core.AggregatedConfigSource(),
        resource_api_version=core.ApiVersion.V3,
        initial_fetch_timeout=None if wait_ms_max is None else span(wait_ms_max),
    )


def endpoints_by_stream() -> core.ConfigSource:
    """Return the source of endpoints. A cluster without them must not delay the others for long."""
    return by_stream(_ENDPOINTS_MS_MAX)


def required_by_stream() -> core.ConfigSource:
    """Return the source of what a listener cannot work without: it keeps waiting for it."""
    return by_stream(0)


def in_files(secret: SecretSource) -> Sources:
    """Return the sources of a proxy that reads only files."""
    return Sources(streamed=False, secret=secret)


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


def text_matcher(text: model.Text) -> matcher.StringMatcher:
    """Return the matcher of a condition on a text."""
    match text.sort:
        case model.TextSort.EXACT:
            return exact(text.value)
        case model.TextSort.PREFIX:
            return matcher.StringMatcher(prefix=text.value)
        case model.TextSort.SUFFIX:
            return matcher.StringMatcher(suffix=text.value)
        case model.TextSort.REGEX:
            return matcher.StringMatcher(safe_regex=matcher.RegexMatcher(regex=text.value))
        case model.TextSort.PRESENT:
            return matcher.StringMatcher(safe_regex=matcher.RegexMatcher(regex=".+"))


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


def appended(key: str, value: str) -> core.HeaderValueOption:
    """Return an instruction to add a value of a header to those that it has."""
    append = core.HeaderValueOptionHeaderAppendAction.APPEND_IF_EXISTS_OR_ADD
    return core.HeaderValueOption(
        header=core.HeaderValue(key=key, value=value), append_action=append
    )


STREAM = Sources(streamed=True, secret=lambda _name: by_stream())
"""The sources of a proxy that gets everything by its stream."""
