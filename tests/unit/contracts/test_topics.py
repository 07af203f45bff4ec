"""Each topic names the groups that must read it, and one service deletes its old records."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from services.audit import events_in as audit
from services.audit.settings import TOPIC, AuditSettings
from services.chassis.kafka import Subscription
from services.contracts.topics import all_topics, read_by
from services.customers import events_in as customers
from services.customers.settings import CustomersSettings
from services.notifications import events_in as notifications
from services.notifications.settings import NotificationsSettings
from services.router.settings import GROUP, SOURCES, TRIMMED

SETTINGS: dict[str, Any] = {
    "home": Path("home"),
    "socket_in": Path("in"),
    "openbao_addr": "http://127.0.0.1:1",
    "service_account_token_file": Path("token"),
    "kafka_bootstrap": "127.0.0.1:1",
}

SUBSCRIPTIONS: dict[str, Callable[[], Subscription]] = {
    "audit": lambda: audit.subscription(AuditSettings(**SETTINGS)),
    "customers": lambda: customers.subscription(CustomersSettings(service="customers", **SETTINGS)),
    "notif": lambda: notifications.subscription(NotificationsSettings(**SETTINGS)),
}
"""The consumers of the services, by group; the router has its own loop."""


def test_every_topic_has_a_group_that_must_read_it() -> None:
    assert [each.name for each in all_topics() if not each.reader_groups] == []


@pytest.mark.parametrize("group", SUBSCRIPTIONS)
def test_a_consumer_reads_the_topics_that_name_its_group(group: str) -> None:
    subscription = SUBSCRIPTIONS[group]()
    assert (subscription.group, subscription.topics) == (group, read_by(group))


def test_the_contract_names_no_group_without_a_consumer() -> None:
    named = {group for each in all_topics() for group in each.reader_groups}
    assert named == {GROUP, *SUBSCRIPTIONS}
    assert read_by(GROUP) == SOURCES


def test_a_group_without_a_topic_is_refused() -> None:
    with pytest.raises(ValueError, match="no topic of the contract"):
        read_by("unknown")


def test_one_service_deletes_the_old_records_of_each_topic() -> None:
    trimmed = [each.name for each in TRIMMED]
    assert sorted([*trimmed, TOPIC]) == sorted(each.name for each in all_topics())
