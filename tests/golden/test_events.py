"""The current code writes the newest kept events, and consumers read every kept event."""

from pathlib import Path

import pytest

from services.audit.mapping import to_entry
from services.contracts.topics import DEAD_LETTER_SUFFIX
from services.customers.mapping import balances_of_event
from services.notifications.mapping import to_request
from services.router.mapping import fan_out
from services.router.settings import SOURCES
from tests.golden import kept, today
from tests.golden.kept import FOLDER, WRITE, Golden

if WRITE:
    for event in today.written():
        kept.keep(event)

KEPT = kept.kept()
WRITTEN = {(golden.topic, golden.name): golden for golden in today.written()}


def _from(*topics: str) -> list[Path]:
    return [path for path, golden in KEPT.items() if golden.topic in topics]


def _name(path: Path) -> str:
    return f"{path.parent.name}-{path.stem}"


def test_every_fact_of_the_contracts_is_kept() -> None:
    names = {golden.name for golden in KEPT.values() if golden.topic in SOURCES}
    assert names == today.facts_of_the_contracts()


@pytest.mark.parametrize("golden", WRITTEN.values(), ids=lambda g: f"{g.topic}-{g.name}")
def test_an_event_is_written_as_it_was_last_kept(golden: Golden) -> None:
    assert KEPT[kept.versions(golden)[-1]] == golden


@pytest.mark.parametrize("path", KEPT, ids=_name)
def test_a_kept_event_reads_as_it_always_did(path: Path) -> None:
    golden = KEPT[path]
    assert kept.reading(golden.topic, golden.record().value) == golden.reads_as


@pytest.mark.parametrize("path", _from(*SOURCES), ids=_name)
def test_the_router_understands_every_kept_event(path: Path) -> None:
    topics = [made.topic for made in fan_out(KEPT[path].record())]
    assert "audit-logs" in topics
    assert not any(topic.endswith(DEAD_LETTER_SUFFIX) for topic in topics)


@pytest.mark.parametrize("path", _from("payments", "transfers"), ids=_name)
def test_the_balance_projection_finds_the_positions_of_every_kept_event(path: Path) -> None:
    golden = KEPT[path]
    positions = golden.reads_as.get("accountPositions", [])
    balances = balances_of_event(golden.record().value)
    assert [str(b.account_id) for b in balances] == [p["accountId"] for p in positions]


@pytest.mark.parametrize("path", _from("audit-logs"), ids=_name)
def test_audit_maps_every_kept_event_completely(path: Path) -> None:
    entry = to_entry(KEPT[path].record())
    kept.reading(entry.source_topic, entry.payload)
    assert str(entry.event_id) == KEPT[path].reads_as["eventId"]


@pytest.mark.parametrize("path", _from("notifications"), ids=_name)
def test_notifications_can_map_every_kept_message(path: Path) -> None:
    request = to_request(KEPT[path].record())
    assert request.template == KEPT[path].reads_as["notificationRequested"]["template"]


def test_kept_events_are_in_their_topics_folder() -> None:
    assert {path for path, g in KEPT.items() if path.parent != FOLDER / g.topic} == set()
