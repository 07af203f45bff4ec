"""A report becomes charts (well-formed XML), tables, and updated documents."""

from typing import Any
from xml.etree import ElementTree

import pytest

from lab.bench.report import page, plots, targets
from lab.bench.report.charts import Bar, Stack, bars, stacks
from lab.bench.report.documents import replaced

SVG = "{http://www.w3.org/2000/svg}"


def _report() -> dict[str, Any]:
    figures = {
        f"{run}.{name}": value
        for run in ("baseline", "book.c64", "interbank.c64", "open100")
        for name, value in {
            "per_s": 321.0,
            "p50_ms": 100.0,
            "p95_ms": 150.0,
            "p99_ms": 180.5,
            "p999_ms": 200.0,
            "cpu_ms": 4.5,
        }.items()
    }
    figures |= {"interbank.cpu_ms": 4.5, "mesh.share": 0.25, "mesh.hop_cpu_us": 180.0}
    figures |= {f"ledger.{kind}.per_s": 6000.0 for kind in ("spread", "hot", "single.spread")}
    figures |= {"ledger.single.spread.call_ms": 2.5}
    parts = {"payments": 1.0, "postgres": 0.75, "partner-ach": 0.5}
    run = {"cpu_ms_by_part": parts, "generator_cpu_ms": 0.06}
    return {
        "command": "make bench",
        "machine": "2 cores, 24 GiB",
        "time": "2026-11-24T13:00:00+00:00",
        "void": False,
        "figures": figures,
        "targets": [
            {
                "what": one.target.what,
                "unit": one.target.unit,
                "measured": one.value,
                "target": f"{one.target.comparison} {one.target.bound:g}",
                "standing": one.standing,
                "goal": None,
                "goal_standing": None,
            }
            for one in targets.judge(figures)
        ],
        "runs": {"interbank.c64": run, "book.c64": run},
        "ledger": {
            "form": "single",
            "shapes": [{"name": "single.spread", "clients": 16}],
        },
    }


@pytest.mark.parametrize("name", ["latency.svg", "cpu.svg"])
def test_every_chart_is_well_formed_and_labels_its_rows(name: str) -> None:
    drawn = ElementTree.fromstring(plots.draw(_report())[name])  # noqa: S314 our own
    assert drawn.tag == f"{SVG}svg"
    written = {text.text for text in drawn.iter(f"{SVG}text")}
    assert any("transfers" in (one or "") for one in written)


def _widths(drawing: str) -> list[float]:
    root = ElementTree.fromstring(drawing)  # noqa: S314 our own
    return [float(one.attrib["width"]) for one in root.iter(f"{SVG}rect")][1:]


def test_bars_are_as_long_as_their_values() -> None:
    whole, half = _widths(bars("t", [Bar("a", 200, "200"), Bar("b & <c>", 100, "100")]))
    assert half == pytest.approx(whole / 2, abs=0.1)
    ranged = _widths(bars("t", [Bar("a", 200, "", low=50)]))
    assert ranged[1] == pytest.approx(ranged[0] / 4, abs=0.1)


def test_unnamed_segments_are_drawn_as_one() -> None:
    row = Stack("a", [("x", 3.0), ("y", 2.0), ("z", 1.0), ("w", 1.0)], "7")
    drawing = stacks("t", [row], named_max=2)
    x, y, rest = _widths(drawing)[:3]
    assert x / y == pytest.approx(1.5, abs=0.01)
    assert rest == pytest.approx(y, abs=0.1)
    assert "the rest" in drawing
    assert ">z<" not in drawing


def test_documents_show_the_runs_and_targets_of_a_report() -> None:
    whole, short = page.whole(_report()), page.short(_report())
    for expected in (
        "| `baseline` | 321 |",
        "missed",
        "payments 1.00",
        "25%",
        "180 µs",
    ):
        assert expected in whole
    assert "| `soak` |" not in whole, "a run that was not measured is not shown"
    assert "**321 interbank transfers a second**" in short
    assert "`make bench` on 2 cores, 24 GiB, 2026-11-24" in short


def test_reports_of_parts_make_one_report() -> None:
    growth = {
        **_report(),
        "time": "2026-11-25T01:00:00+00:00",
        "command": "make bench ARGS=growth",
        "figures": {"growth.cpu_ratio_1m": 1.1, "stack.up_warm_s": 9.0, "baseline.per_s": 1.0},
        "runs": {"growth.1m": {}},
    }
    merged = page.together([_report(), growth])
    assert merged["figures"]["baseline.per_s"] == 321.0
    assert merged["runs"].keys() == {"interbank.c64", "book.c64", "growth.1m"}
    assert merged["command"] == "make bench`, `make bench ARGS=growth"
    grown = next(one for one in merged["targets"] if one["what"].startswith("cost at 1 million"))
    assert (grown["measured"], grown["standing"]) == (1.1, "met")
    assert "2026-11-25" in page.whole(merged)


def test_figures_of_the_stack_are_the_maximum_of_all_reports() -> None:
    part, whole = (
        {**_report(), "figures": {"stack.rss_mib": mib, "baseline.per_s": pace}}
        for mib, pace in ((1350.0, 1.0), (1544.0, 2.0))
    )
    merged = page.together([part, whole])["figures"]
    assert (merged["stack.rss_mib"], merged["baseline.per_s"]) == (1544.0, 1.0)


def test_only_the_text_between_the_markers_is_replaced() -> None:
    document = f"before\n{page.BEGIN}\nold\n{page.END}\nafter\n"
    fresh = replaced(document, "new", page.BEGIN, page.END)
    assert fresh == f"before\n{page.BEGIN}\nnew\n{page.END}\nafter\n"
    assert replaced(fresh, "new", page.BEGIN, page.END) == fresh
    with pytest.raises(ValueError, match="in the document"):
        replaced("no markers", "new", page.BEGIN, page.END)
