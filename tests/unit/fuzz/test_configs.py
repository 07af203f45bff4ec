"""The generator of configurations changes every honoured field, and the judge names problems."""

from pathlib import Path

import pytest
from hypothesis import strategies as st

from lab.fuzz.configs import fields, repository, runs, values
from lab.fuzz.configs.judged import Verdict, misplaced
from lab.fuzz.configs.repository import Changed
from mesh.controlplane.ingest.faults import Absent, ConfigFault, MeshFault

SEED, COUNT = 7, 150


class Unread:
    """A judge that accepts every configuration, without Envoy, and keeps what it saw."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def verdict(self, changed: Changed) -> Verdict:
        """Accept."""
        self.seen.append(changed.shown())
        return Verdict(True)

    def settled(self) -> list[tuple[Changed, str]]:
        """Return nothing."""
        return []


def test_every_honoured_field_of_every_kind_is_changed() -> None:
    tally = runs.run(Unread(), COUNT, SEED)
    assert fields.honoured() - tally.changed == set()


def test_equal_seeds_draw_equal_configurations() -> None:
    first, second = Unread(), Unread()
    runs.random_part(first, 20, SEED)
    runs.random_part(second, 20, SEED)
    assert first.seen == second.seen
    assert len(set(first.seen)) > 10


def test_a_field_has_values_of_each_kind() -> None:
    assert all(
        isinstance(values.hostile(each, None), st.SearchStrategy) for each in fields.honoured()
    )
    assert sum(values.has_good(each) for each in fields.honoured()) > len(fields.honoured()) // 3


WHOLE = repository.changed(repository.files())
FILE = "gateway.yaml"
MISPLACED = [
    (ConfigFault(Path(FILE), 1, "a"), None),
    (Absent("needs a Gateway", "Gateway"), None),
    (MeshFault("no place"), "has no place"),
    (ConfigFault(Path("nobody.yaml"), 1, "a"), "another file"),
    (ConfigFault(Path(FILE), 10_000, "a"), "a line that the file does not have"),
    (ConfigFault(Path(FILE), 0, "a"), "a line that the file does not have"),
    (ConfigFault(Path(FILE), 1, "two\nlines"), "not one printable line"),
]


@pytest.mark.parametrize(("fault", "problem"), MISPLACED)
def test_a_finding_without_its_place_is_a_problem(fault: Exception, problem: str | None) -> None:
    found = misplaced(fault, WHOLE)
    assert found is None if problem is None else problem in str(found)


def test_the_unchanged_configuration_keeps_its_text() -> None:
    assert WHOLE.content == repository.texts()
    assert WHOLE.shown() == ""
    assert fields.differing(WHOLE.files) == set()
