"""Links whose offset in the topic is not above that of the link before them are found."""

from dataclasses import replace

import pytest

from services.audit import verify_offsets
from services.audit.verify import Finding, Kind
from services.audit.verify_offsets import OffsetsCheck
from tests.unit.audit.test_chain import chain


def check(offsets: list[int]) -> list[Finding]:
    """Return the findings of a chain whose links have these offsets."""
    found = OffsetsCheck(3)
    for row, offset in zip(chain(len(offsets)), offsets, strict=True):
        found.feed(replace(row, log_offset=offset))
    return found.finish()


@pytest.mark.parametrize(
    ("offsets", "runs"),
    [
        ([], []),
        ([0, 1, 5, 6, 1000], []),
        (
            [7, 8, 3, 9],
            ["link 3 has offset 3 of the topic, after offset 8 of link 2"],
        ),
        (
            [7, 8, 8, 9],
            ["link 3 has offset 8 of the topic, after offset 8 of link 2"],
        ),
        (
            [7, 8, 0, 1, 2, 9],
            ["links 3 to 5 begin at offset 0 of the topic, after offset 8 of link 2"],
        ),
        (
            [90, 91, 0, 1, 5, 2, 6, 7],
            [
                "link 6 has offset 2 of the topic, after offset 5 of link 5",
                "links 3 to 8 begin at offset 0 of the topic, after offset 91 of link 2",
            ],
        ),
    ],
    ids=["empty", "rising", "old", "repeated", "several", "after a rebuild of the topic"],
)
def test_each_run_of_old_offsets_is_one_finding(offsets: list[int], runs: list[str]) -> None:
    found = check(offsets)
    assert [one.detail for one in found] == runs
    assert {(one.kind, one.chain) for one in found} <= {(Kind.OFFSET, 3)}


def test_offsets_that_only_fall_take_limited_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify_offsets, "RUNS_MAX", 10)
    found = check(list(range(50, 0, -1)))
    assert [one.sequence for one in found] == list(range(11, 1, -1))
