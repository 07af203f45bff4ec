"""What `bpctl mesh diff` shows of an edit: every difference, because reviewers see nothing else."""

from envoy_data_plane.envoy.config.core import v3 as core
from envoy_data_plane.envoy.config.route import v3 as route
from envoy_data_plane.envoy.extensions.filters.http.lua import v3 as lua

from mesh.controlplane.deliver.packed import Kind, NodeSnapshot, pack, snapshot
from mesh.controlplane.translate.parts import packed, span
from mesh.pilot.differences import VALUE_CHARS_MAX, WHOLE, Field, differences

NAME = "partner/ach-network.example"


def _fields(kind: Kind, old: bytes, new: bytes) -> tuple[Field, ...]:
    """Return the fields that differ between two versions of one resource."""

    def nodes(body: bytes) -> dict[str, NodeSnapshot]:
        return {"payments-0": snapshot("payments-0", [pack(kind, NAME, body)])}

    (change,) = differences(nodes(old), nodes(new))
    return change.fields


def _routes(*made: route.Route) -> bytes:
    host = route.VirtualHost(name=NAME, domains=["*"], routes=list(made))
    return bytes(route.RouteConfiguration(name=NAME, virtual_hosts=[host]))


def _route(prefix: str, lasts_ms: int) -> route.Route:
    action = route.RouteAction(cluster=NAME, timeout=span(lasts_ms))
    return route.Route(name=NAME, match=route.RouteMatch(prefix=prefix), route=action)


def _lua(text: str) -> bytes:
    code = lua.Lua(default_source_code=core.DataSource(inline_string=text))
    return bytes(core.TypedExtensionConfig(name=NAME, typed_config=packed(code)))


def test_a_route_before_another_one_of_the_same_name_is_shown() -> None:
    """All routes to a partner have its name."""
    last = _route("/", 30_000)
    found = _fields(Kind.ROUTES, _routes(last), _routes(_route("/v1", 1_000), last))
    shown = [(each.path.rpartition("].")[2], each.before, each.after) for each in found]
    assert ("match.prefix", "/", "/v1") in shown
    assert ("match.prefix", None, "/") in shown
    assert len({each.path for each in found}) == len(found)


def test_a_difference_far_inside_a_long_value_is_shown_with_what_is_around_it() -> None:
    text = "local a = 1 " * 100
    (found,) = _fields(Kind.EXTENSION, _lua(f"{text}ok()"), _lua(f"{text}evil()"))
    assert found.before is not None
    assert found.after is not None
    assert found.before.endswith("local a = 1 ok()")
    assert found.after.endswith("local a = 1 evil()")
    assert max(len(found.before), len(found.after)) <= VALUE_CHARS_MAX + 2


def test_a_field_that_is_unknown_here_is_shown_as_a_difference_of_the_resource() -> None:
    unknown = b"\xfa\x3f\x01x"  # Field 1023, with the value "x".
    (found,) = _fields(Kind.ROUTES, _routes(), _routes() + unknown)
    assert found.path == WHOLE
    assert found.before != found.after
