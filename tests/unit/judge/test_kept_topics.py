"""Topics keep unread records, each for a different time, and the judge allows for that."""

import hashlib
import uuid
from collections import Counter
from datetime import UTC, datetime

from ops.judge.books import Bank, Place
from ops.judge.events import SourceEvent, Tale, compare_with_outbox
from ops.judge.findings import Findings, Kind
from ops.judge.logins import Logins, compare_with_logins
from ops.judge.messages import Requests, compare_requests
from ops.judge.record import Log, _compare, compare_log
from ops.judge.topics import Span
from services.audit.chain import GENESIS, AuditRow

EARLIER, LATER = (str(uuid.UUID(int=number << 80)) for number in (1, 3))
PLACE = Place("payments", 0, 0)
WHOLE = {("notifications", 0): Span(0, 1)}


def _tale(*event_ids: str) -> Tale:
    return Tale(events={one: SourceEvent(PLACE, b"") for one in event_ids})


def test_an_event_from_before_the_record_of_published_events_is_not_unknown() -> None:
    findings, bank = Findings(), Bank(published_from=uuid.UUID(int=2 << 80))
    compare_with_outbox(_tale(EARLIER, LATER), bank, {}, findings)
    assert [one.ids for one in findings.named] == [{"event_id": LATER}]
    assert findings.counts == {Kind.EVENT_UNKNOWN: 1}


def test_a_message_whose_event_was_deleted_is_not_unknown() -> None:
    requests = Requests(asked=Counter([LATER]))
    for whole, count in ((False, 0), (True, 1)):
        findings = Findings()
        compare_requests(_tale(), requests, WHOLE, whole, findings)
        assert findings.counts[Kind.NOTICE_UNKNOWN] == count


def test_an_audited_event_that_its_source_topic_deleted_is_not_unknown() -> None:
    log = Log(events=Counter([LATER]))
    for whole, count in ((False, 0), (True, 1)):
        findings = Findings()
        compare_log(_tale(), log, WHOLE, whole, findings)
        assert findings.counts[Kind.AUDIT_LOG_UNKNOWN] == count


LOGIN = Place("auth-events", 0, 0)
FIRST, STORED = EARLIER, LATER


def _logins_told(*event_ids: str) -> Tale:
    return Tale(events={one: SourceEvent(LOGIN, b"") for one in event_ids})


def _compared(tale: Tale, logins: Logins, low: int = 0) -> Counter[Kind]:
    findings = Findings()
    compare_with_logins(tale, logins, {("auth-events", 0): Span(low, 9)}, findings)
    return findings.counts


def test_an_event_from_before_the_first_that_auth_keeps_is_not_unknown() -> None:
    told = _logins_told(FIRST, STORED)
    assert not _compared(told, Logins(published={STORED}))
    assert _compared(told, Logins(published={FIRST})) == {Kind.EVENT_UNKNOWN: 1}


def test_every_event_is_unknown_if_auth_stored_none() -> None:
    assert _compared(_logins_told(STORED), Logins()) == {Kind.EVENT_UNKNOWN: 1}


def test_an_event_that_is_sent_but_not_marked_yet_is_no_difference() -> None:
    assert not _compared(_logins_told(STORED), Logins(others={STORED}))


def test_a_published_event_is_lost_only_if_kafka_deleted_nothing() -> None:
    logins = Logins(published={STORED})
    assert _compared(_logins_told(), logins) == {Kind.EVENT_LOST: 1}
    assert not _compared(_logins_told(), logins, low=1)


def test_events_of_other_topics_are_not_compared_with_auth() -> None:
    assert not _compared(_tale(STORED), Logins(published=set()))


RECORD = AuditRow(
    chain=0,
    sequence=1,
    event_id=uuid.UUID(EARLIER),
    event_type="",
    source_topic="a topic",
    source_partition=0,
    source_offset=3,
    subject="",
    occur_time=datetime(2026, 7, 4, tzinfo=UTC),
    log_offset=0,
    record_time=datetime(2026, 7, 4, tzinfo=UTC),
    hash_version=1,
    previous_hash=GENESIS,
    hash=b"",
    payload=b"payload",
)


def test_the_recorded_place_of_a_repeated_event_may_be_deleted() -> None:
    """Its publisher sent it again, and Kafka has only the repetition."""
    again = SourceEvent(Place("a topic", 0, 7), hashlib.sha256(RECORD.payload).digest())
    for low, count in ((3, 1), (4, 0)):
        findings = Findings()
        _compare(RECORD, EARLIER, again, {("a topic", 0): Span(low, 8)}, findings)
        assert findings.counts[Kind.AUDIT_PAYLOAD] == count
