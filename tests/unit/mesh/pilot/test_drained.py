"""Which instances drain: decided by an SRE, never all of a service without force."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from mesh.controlplane.ingest.endpoints import Endpoints
from mesh.pilot.drained import (
    Drained,
    LastInstance,
    UnknownInstance,
    require_other,
    with_drained,
)
from tests.rigs.mesh.fixed_places import endpoints

ONE = {"address": "127.0.0.1:21002"}
OTHER = {"address": "127.0.0.1:21102", "number": 3, "version": "v2"}
STARTING = {"address": "127.0.0.1:21103", "number": 4, "state": "DRAINING"}


def bank(*instances: Mapping[str, object]) -> Endpoints:
    """Return the addresses of a bank with these instances of customers."""
    raw = endpoints().model_dump(mode="json")
    raw["services"]["customers"] |= {"mtls": None, "instances": list(instances)}
    return Endpoints.model_validate(raw)


def states(found: Endpoints) -> list[str]:
    """Return the state of each instance of customers."""
    return [each.state for each in found.services["customers"].all_instances()]


def test_a_drained_instance_is_marked_and_the_others_are_not() -> None:
    """The number of an instance is in its name, wherever it is in the list."""
    assert states(with_drained(bank(ONE, OTHER), {"customers-3": False})) == ["READY", "DRAINING"]
    assert states(with_drained(bank(ONE, OTHER), {"customers-0": False})) == ["DRAINING", "READY"]
    assert states(with_drained(bank(ONE, OTHER), {"customers-1": False})) == ["READY", "READY"]
    assert with_drained(bank(ONE, OTHER), {}) == bank(ONE, OTHER)


def test_an_instance_that_is_left_alone_drains_no_more_unless_it_was_forced() -> None:
    """The others were stopped since: without it every call would fail."""
    marks = {"customers-0": False}
    assert states(with_drained(endpoints(), marks)) == ["READY"]
    assert states(with_drained(bank(ONE, STARTING), marks)) == ["READY", "DRAINING"]
    assert states(with_drained(endpoints(), {"customers-0": True})) == ["DRAINING"]


def test_the_last_ready_instance_is_refused() -> None:
    """Instances that start or drain do not count."""
    require_other(bank(ONE, OTHER), {}, "customers-0")
    with pytest.raises(LastInstance, match="customers-0 is the last ready instance"):
        require_other(bank(ONE, OTHER), {"customers-3": False}, "customers-0")
    with pytest.raises(LastInstance):
        require_other(bank(ONE, STARTING), {}, "customers-0")
    with pytest.raises(UnknownInstance, match="there are customers-0, customers-3"):
        require_other(bank(ONE, OTHER), {}, "customers-1")
    with pytest.raises(UnknownInstance, match="there are audit"):
        require_other(bank(ONE, OTHER), {}, "nobody-0")


def test_the_decision_is_on_disk(tmp_path: Path) -> None:
    """A broken file drains nothing, because calls matter more than a drain."""
    file = tmp_path / "mesh" / "drained.json"
    Drained(file).mark("customers-0", forced=True)
    Drained(file).mark("customers-3", forced=False)
    assert Drained(file).marks() == {"customers-0": True, "customers-3": False}
    assert file.stat().st_mode & 0o777 == 0o600
    Drained(file).unmark("customers-0")
    Drained(file).unmark("customers-7")
    assert Drained(file).marks() == {"customers-3": False}
    file.write_text("{half")
    assert Drained(file).marks() == {}


@pytest.mark.parametrize(
    "instances",
    [(OTHER,), (ONE, OTHER, OTHER | {"address": "127.0.0.1:1"})],
    ids=["first", "twice"],
)
def test_numbers_of_instances_begin_at_0_and_are_unique(
    instances: tuple[Mapping[str, object], ...],
) -> None:
    """They name proxies."""
    with pytest.raises(ValueError, match="each other its own"):
        bank(*instances)
