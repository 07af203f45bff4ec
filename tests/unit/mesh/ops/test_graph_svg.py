"""The drawing of the graph is valid XML whose boxes do not overlap, whatever the names are."""

from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from ops.bpctl.mesh.graph_svg import Link, drawn
from ops.bpctl.mesh.graphing import links

SVG = "{http://www.w3.org/2000/svg}"
_names = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF), min_size=1, max_size=40)
_links = st.lists(
    st.builds(
        Link,
        *(_names, _names, st.booleans(), st.integers(0, 9), st.booleans()),
        *(st.floats(0, 1e6), st.floats(0, 100), st.booleans()),
    ),
    max_size=12,
)


@given(_links)
def test_any_graph_is_drawn_with_a_line_for_each_pair(found: list[Link]) -> None:
    """Also cycles, services that call themselves, and names with markup."""
    made = [each for each in found if not each.partner or each.caller != each.callee]
    callers = {each.caller for each in made}
    made = [each for each in made if not (each.partner and each.callee in callers)]
    root = ElementTree.fromstring(drawn(made, "1 min"))  # noqa: S314 - our own text
    assert len(root.findall(f"{SVG}path")) == len(made)
    boxes = [each for each in root.findall(f"{SVG}rect") if each.get("class")]
    names = {name for each in made for name in (each.caller, each.callee)}
    assert len(boxes) == len(names)
    assert len({(each.get("x"), each.get("y")) for each in boxes}) == len(boxes)


def test_pairs_that_may_and_that_do_are_joined() -> None:
    """A call without permission is shown too; clients may always call the gateway."""
    may = [
        {"caller": "gateway", "callee": "payments", "partner": False, "methods": ["/a", "/b"]},
        {"caller": "payments", "callee": "ach.example", "partner": True, "methods": []},
    ]
    rates = {"per_second": 2.0, "failed_percent": 50.0, "unanswered_percent": 0.0}
    does = [
        {"caller": "clients", "callee": "gateway", **rates},
        {"caller": "payments", "callee": "ach.example", **rates},
        {"caller": "payments", "callee": "auth", **rates, "unanswered_percent": 25.0},
    ]
    found = [(e.caller, e.callee, e.partner, e.allowed, e.words) for e in links(may, does)]
    calls = "2.00/s, 50.0 % errors"
    assert found == [
        ("clients", "gateway", False, True, calls),
        ("gateway", "payments", False, True, "no calls"),
        ("payments", "ach.example", True, True, calls),
        ("payments", "auth", True, False, f"{calls}, 25.0 % no answer"),
    ]


def test_a_line_is_red_if_calls_have_no_answer() -> None:
    """A callee that hangs has no errors."""
    hanging = Link("a", "b", False, 1, True, 2.0, 0.0, True, 100.0)
    assert 'class="fails"' in drawn([hanging], "1 min")
