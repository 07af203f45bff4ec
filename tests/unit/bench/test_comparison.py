"""The comparison with other systems: its charts and tables, and the documents that contain them."""

from xml.etree import ElementTree

import pytest

from lab.bench.report import comparison, page, peers
from lab.bench.report.documents import replaced
from sandbox.stack.home import REPO

SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize("name", ["peers.svg", "peers-functions.svg"])
def test_every_chart_of_the_comparison_is_well_formed_and_is_the_one_in_docs(name: str) -> None:
    drawing = comparison.draw()[name]
    root = ElementTree.fromstring(drawing)  # noqa: S314 our own
    written = {text.text for text in root.iter(f"{SVG}text")}
    assert any("BP" in (one or "") for one in written)
    assert (REPO / "docs" / "img" / name).read_text() == drawing


def test_every_system_is_in_the_chart_and_in_the_table_with_its_range() -> None:
    chart, text = comparison.draw()["peers.svg"], comparison.whole()
    for one in peers.SYSTEMS:
        assert one.label in chart
        (row,) = [line for line in text.splitlines() if line.startswith(f"| {one.system} |")]
        assert f"{one.least_per_s} to {one.most_per_s}" in row


@pytest.mark.parametrize(
    ("name", "text"),
    [("docs/performance.md", comparison.whole()), ("README.md", comparison.short())],
)
def test_documents_hold_the_comparison_that_the_program_writes(name: str, text: str) -> None:
    document = (REPO / name).read_text()
    assert replaced(document, text, comparison.BEGIN, comparison.END) == document


@pytest.mark.parametrize("name", ["docs/performance.md", "README.md"])
def test_new_figures_of_a_bench_leave_the_comparison_as_it_is(name: str) -> None:
    document = (REPO / name).read_text()
    fresh = replaced(document, "new figures", page.BEGIN, page.END)
    assert document.partition(comparison.BEGIN)[2] == fresh.partition(comparison.BEGIN)[2]
