"""The control plane means the same as Istio did in the last `make conformance`.

An edit of mesh/config or of the translation that changes a meaning fails here until a run with a
real Istio has confirmed it.
"""

import shutil
from pathlib import Path

import pytest

from lab.conformance import comparison, golden, ours, sample
from lab.conformance.calls.both import PREFIX
from lab.conformance.istio import CONFIG, Files
from mesh.istio.files import documents

REPO = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def verdict(tmp_path_factory: pytest.TempPathFactory) -> comparison.Verdict:
    """Return the comparison of today's facts with istiod's of the last run."""
    bank = ours.stated(Files()).facts
    sampled = ours.stated(sample.files(tmp_path_factory.mktemp("sample")), sample.HEADERS).facts
    stated = {**bank, **{f"{sample.PREFIX}{key}": each for key, each in sampled.items()}}
    # The answers to calls need running proxies.
    kept = {key: each for key, each in golden.read().items() if not key.startswith(PREFIX)}
    rows = [row for row in comparison.rows() if not row.is_about(PREFIX)]
    return comparison.compare(stated, kept, rows)


def test_every_fact_is_equal_or_has_a_reason(verdict: comparison.Verdict) -> None:
    assert [str(each) for each in verdict.unexplained] == []
    assert verdict.equal > 1000


def test_every_reason_still_explains_a_difference(verdict: comparison.Verdict) -> None:
    assert verdict.idle == ()


def test_the_derived_kinds_are_those_of_the_contracts_and_the_config() -> None:
    assert {
        path: (REPO / path).read_text() == text for path, text in documents().items()
    } == dict.fromkeys(documents(), True)


def test_an_edit_that_changes_a_meaning_is_found(tmp_path: Path) -> None:
    config = tmp_path / "config"
    shutil.copytree(CONFIG, config)
    fraud = config / "partners" / "fraud.yaml"
    fraud.write_text(fraud.read_text().replace("timeout: 5s", "timeout: 6s"))
    stated = ours.stated(Files(config)).facts
    bank = {key: each for key, each in golden.read().items() if key in stated}
    found = comparison.compare(stated, bank, comparison.rows()).unexplained
    assert [(each.fact, each.ours, each.istio) for each in found] == [
        ("payments calls fraud.example: timeout_ms", 6000, 5000)
    ]


def test_files_and_streams_mean_the_same() -> None:
    mesh, passed_on = ours.loaded(Files())
    asked, policy = ours.questions(mesh), Files().edge_policy()
    by_files = ours.facts(ours.in_files(mesh, passed_on), asked, policy)
    by_streams = ours.facts(ours.proxies(mesh, passed_on), asked, policy)
    assert by_files == by_streams
