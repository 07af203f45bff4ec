"""Notifications on real Kafka and PostgreSQL, with FCM's sandbox: one push for each event."""

import asyncio
import math
import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio
from bp.notifications.v1 import notifications_service_pb2 as pb
from bp.notifications.v1.notification_pb2 import Notification, Template
from bp.notifications.v1.notifications_events_pb2 import NotificationEvent

from ops.waiting import until
from services.chassis import kafka as chassis_kafka
from services.chassis.call_context import Call, current_call
from services.chassis.http_client import partner_session
from services.chassis.page_tokens import PageTokens
from services.customers.store import Store as CustomersStore
from services.kernel.clock import utc_now
from services.kernel.ids import new_id
from services.notifications import sender
from services.notifications.events_in import Requests, subscription
from services.notifications.grpc_api import NotificationsApi
from services.notifications.handlers import Dependencies
from services.notifications.partners import AccessTokens, PushClient
from services.notifications.sender import Sender
from services.notifications.settings import NotificationsSettings
from services.notifications.state import Device, Push, Settled
from services.notifications.store import Store
from tests.rigs import sample_events
from tests.rigs.host_speed import waited_out_s
from tests.rigs.push_service import PROJECT, PushService, push_service, register_device
from tests.rigs.stores import KafkaStore, PostgresStore

SEND = "POST /v1/*"
LEASE_S = math.ceil(waited_out_s(0.5))
"""Longer than one attempt takes on this host; a push that outlasts its lease is sent again."""


@dataclass
class Process:
    """The service's consumer, sender and store, in this process, with real stores."""

    settings: NotificationsSettings
    store: Store
    customers: CustomersStore
    fcm: PushService
    owner: asyncpg.Pool
    """The service may not register a device, so tests do it as the superuser."""
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    tasks: "list[asyncio.Task[None]]" = field(default_factory=list)

    async def run(self) -> None:
        async with partner_session(self.settings) as session:
            access = AccessTokens(session, self.fcm.account)
            client = PushClient(session, access, PROJECT)
            pushes = Sender(self.store, client, self.settings)
            requests = Requests(self.store, pushes, self.customers.locales, self.settings)
            async with asyncio.TaskGroup() as group:
                group.create_task(pushes.run())
                group.create_task(
                    chassis_kafka.consume(subscription(self.settings), requests.ask, self.stop)
                )

    def start(self) -> None:
        self.stop.clear()
        self.tasks = [asyncio.create_task(self.run())]

    async def crash(self) -> None:
        """Stop at once, without writing the outcomes of pushes in flight."""
        self.stop.set()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


@pytest_asyncio.fixture(scope="module")
async def fcm(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[PushService]:
    async with push_service(tmp_path_factory.mktemp("fcm")) as service:
        yield service


@pytest_asyncio.fixture(scope="module")
async def process(
    kafka: KafkaStore, postgres: PostgresStore, fcm: PushService
) -> AsyncIterator[Process]:
    settings = NotificationsSettings(
        home=Path("/nowhere"),
        socket_in=Path("/nowhere"),
        socket_out=fcm.socket,
        openbao_addr="",
        service_account_token_file=Path("/nowhere"),
        kafka_bootstrap=kafka.bootstrap,
        batch_linger_ms=10,
        lease_s=2 * LEASE_S,
        lease_margin_s=LEASE_S,
        retry_first_s=0.2,
        poll_s=0.1,
    )
    async with (
        await postgres.pool("bp_notifications", 4, "bp_notifications") as pool,
        await postgres.pool("bp_customers", 2, "bp_customers") as customers,
        await postgres.pool("postgres", 1, "bp_notifications") as owner,
    ):
        one = Process(settings, Store(pool), CustomersStore(customers), fcm, owner)
        one.start()
        yield one
        await one.crash()


@dataclass
class Customer:
    """A customer with one device."""

    customer_id: uuid.UUID
    device: str


async def customer(process: Process, ending: str = "") -> Customer:
    customer_id = uuid.uuid4()
    one = Customer(customer_id, f"device-{customer_id}{ending}")
    await register_device(process.owner, Device(customer_id, one.device, "es"))
    return one


def asked(to: Customer, event_id: str = "") -> NotificationEvent:
    event = NotificationEvent()
    event.metadata.event_id = event_id or str(new_id())
    requested = event.notification_requested
    requested.customer_id = str(to.customer_id)
    requested.template = Template.TRANSFER_FAILED
    requested.transfer_id = str(new_id())
    requested.amount.currency_code = "USD"
    requested.amount.minor_units = 150_000
    return event


def write(kafka: KafkaStore, *values: bytes) -> None:
    sample_events.write_raw(
        kafka.bootstrap, "notifications", [(b"one key", value) for value in values]
    )


async def arrived(fcm: PushService, device: str, count: int = 1) -> None:
    async def enough() -> bool:
        return (await fcm.messages(device))["count"] >= count

    await until(enough)


async def listed(process: Process, of: Customer) -> list[Notification]:
    current_call.set(
        Call("", "gateway", str(of.customer_id), frozenset(), "", "", "", {}, utc_now())
    )
    api = NotificationsApi(Dependencies(process.store, PageTokens(b"key")))
    request = pb.ListNotificationsRequest(page_size=2)
    found: list[Notification] = []
    while True:
        page = await api.list_notifications(request, None)
        found += page.notifications
        if not page.next_page_token:
            return found
        request.page_token = page.next_page_token


async def settled(process: Process, of: Customer, state: str) -> Notification:
    async def ended() -> Notification | None:
        wanted = Notification.State.Value(state)
        return next((n for n in await listed(process, of) if n.state == wanted), None)

    return await until(ended, 30, f"a notification is {state}")


async def test_an_event_that_comes_three_times_is_pushed_once_in_the_customers_language(
    kafka: KafkaStore, process: Process, fcm: PushService
) -> None:
    to = await customer(process)
    event = asked(to)
    write(kafka, *[event.SerializeToString()] * 2)
    await settled(process, to, "DELIVERED")
    later = await customer(process)
    write(kafka, event.SerializeToString(), asked(later).SerializeToString())
    await settled(process, later, "DELIVERED")
    messages = await fcm.messages(to.device)
    assert messages["count"] == 1
    shown = messages["shown"][0]["message"]
    assert shown["notification"]["title"] == "Transferencia fallida"
    assert "1.500,00 USD" in shown["notification"]["body"]
    assert shown["data"]["eventId"] == event.metadata.event_id


async def test_a_message_is_in_the_customers_language_even_if_the_device_has_another(
    kafka: KafkaStore, process: Process, fcm: PushService, postgres: PostgresStore
) -> None:
    to = await customer(process)
    superuser = await postgres.session("postgres", "bp_customers")
    try:
        await superuser.execute(
            "INSERT INTO customers.customer (customer_id, user_name, display_name, email, locale)"
            " VALUES ($1, $2, 'Eva', 'eva@example.com', 'en')",
            to.customer_id,
            f"u{to.customer_id.hex}",
        )
    finally:
        await superuser.close()
    write(kafka, asked(to).SerializeToString())
    await settled(process, to, "DELIVERED")
    shown = (await fcm.messages(to.device))["shown"][0]["message"]["notification"]
    assert shown["title"] == "Transfer failed"
    assert "USD 1,500.00" in shown["body"]


async def test_a_crash_between_push_and_record_is_pushed_again_and_shown_once(
    kafka: KafkaStore, process: Process, fcm: PushService
) -> None:
    to = await customer(process)
    await fcm.fault(kind="accept_then_hang", endpoint=SEND, count=1)
    write(kafka, asked(to).SerializeToString())
    await arrived(fcm, to.device)
    await process.crash()
    assert [n.state for n in await listed(process, to)] == [Notification.PENDING]
    process.start()
    await settled(process, to, "DELIVERED")
    messages = await fcm.messages(to.device)
    assert (messages["count"], len(messages["shown"])) == (2, 1)


async def test_a_device_that_is_gone_is_dropped_and_its_push_is_undeliverable(
    kafka: KafkaStore, process: Process
) -> None:
    to = await customer(process, "-gone")
    write(kafka, asked(to).SerializeToString())
    await settled(process, to, "UNDELIVERABLE")

    async def dropped() -> bool:
        return not await process.store.devices_of([to.customer_id])

    await until(dropped)


async def test_a_push_is_tried_again_until_the_service_takes_it(
    kafka: KafkaStore, process: Process, fcm: PushService
) -> None:
    to = await customer(process)
    await fcm.fault(kind="http_5xx", endpoint=SEND, count=3)
    write(kafka, asked(to).SerializeToString())
    told = await settled(process, to, "DELIVERED")
    assert told.deliver_time.seconds > 0
    assert (await fcm.messages(to.device))["count"] == 1


async def test_a_token_that_is_not_taken_is_renewed_once_and_the_push_goes_out(
    kafka: KafkaStore, process: Process, fcm: PushService
) -> None:
    to = await customer(process)
    await fcm.fault(kind="reject", endpoint=SEND, count=1, params={"status": 401, "reason": "X"})
    write(kafka, asked(to).SerializeToString())
    await settled(process, to, "DELIVERED")


async def test_a_full_queue_of_pushes_pauses_its_group_and_loses_none(
    kafka: KafkaStore, process: Process, fcm: PushService
) -> None:
    knobs = {"waiting_pushes_max": 2, "sends_max": 1, "lease_s": 6 * LEASE_S}
    narrow = Process(
        process.settings.model_copy(update=knobs),
        process.store,
        process.customers,
        fcm,
        process.owner,
    )
    people = [await customer(process) for _ in range(12)]
    await process.crash()
    await fcm.fault(kind="latency", endpoint=SEND, params={"ms": 200})
    try:
        write(kafka, *(asked(one).SerializeToString() for one in people))
        narrow.start()
        for one in people:
            await settled(narrow, one, "DELIVERED")
    finally:
        await fcm.heal()
        await narrow.crash()
        process.start()
    assert [len((await fcm.messages(one.device))["shown"]) for one in people] == [1] * len(people)


class LateStore(Store):
    """A store whose database is down while `is_away` is True."""

    is_away = True

    async def settle(self, outcomes: Sequence[Settled]) -> None:
        self._require_up()
        await super().settle(outcomes)

    async def claim(self, now: datetime, lease_end: datetime, rows: int) -> list[Push]:
        self._require_up()
        return await super().claim(now, lease_end, rows)

    def _require_up(self) -> None:
        if self.is_away:
            raise ConnectionRefusedError


async def test_a_push_whose_outcome_waits_for_the_database_is_not_claimed_and_sent_again(
    kafka: KafkaStore,
    postgres: PostgresStore,
    process: Process,
    fcm: PushService,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """When the database returned, the lease had expired and the outcome was not yet written."""
    monkeypatch.setattr(sender, "RETRY_S", 2.5 * LEASE_S)
    to = await customer(process)
    await process.crash()
    async with await postgres.pool("bp_notifications", 2, "bp_notifications") as pool:
        late = LateStore(pool)
        other = Process(process.settings, late, process.customers, fcm, process.owner)
        other.start()
        try:
            write(kafka, asked(to).SerializeToString())
            await arrived(fcm, to.device)

            async def lease_has_expired() -> bool:
                return bool(
                    await pool.fetchval(
                        "SELECT next_attempt_time < now() FROM notif.delivery WHERE device = $1",
                        to.device,
                    )
                )

            await until(lease_has_expired, 30, "the lease has expired")
            late.is_away = False
            await settled(other, to, "DELIVERED")
        finally:
            await other.crash()
            process.start()
    assert (await fcm.messages(to.device))["count"] == 1


async def test_a_message_about_a_login_has_no_transfer_and_is_sent_once(
    kafka: KafkaStore, process: Process, fcm: PushService
) -> None:
    to = await customer(process)
    event = asked(to)
    requested = event.notification_requested
    requested.template, requested.device_name = Template.NEW_DEVICE, "Ana's iPhone"
    requested.ClearField("transfer_id")
    requested.ClearField("amount")
    write(kafka, event.SerializeToString(), event.SerializeToString())
    await settled(process, to, "DELIVERED")
    write(kafka, event.SerializeToString(), asked(to).SerializeToString())

    async def both_listed() -> bool:
        return len(await listed(process, to)) == 2

    await until(both_listed)
    first = (await listed(process, to))[-1]
    assert (first.event_id, first.transfer_id) == (event.metadata.event_id, "")
    assert first.title == "Nuevo dispositivo"
    assert "«Ana's iPhone»" in first.body
    pushes = [one["message"]["data"] for one in (await fcm.messages(to.device))["delivered"]]
    about_login = {"eventId": event.metadata.event_id, "template": "NEW_DEVICE"}
    assert pushes.count(about_login) == 1


async def test_a_bad_message_is_parked_with_its_reason_and_the_group_continues(
    kafka: KafkaStore, process: Process
) -> None:
    to = await customer(process)
    nobody = asked(to)
    nobody.notification_requested.customer_id = "nobody"
    poison = {b"\xff": b"UNDECODABLE", nobody.SerializeToString(): b"ID_INVALID"}
    write(kafka, *poison, asked(to).SerializeToString())
    await settled(process, to, "DELIVERED")
    parked = sample_events.read_all(kafka.bootstrap, "notifications.dlq")
    reasons = {m.value(): dict(m.headers() or ())["dlq-reason"] for m in parked}
    assert reasons == poison


async def test_a_customer_without_a_device_still_finds_the_message_in_the_list(
    kafka: KafkaStore, process: Process
) -> None:
    to = Customer(uuid.uuid4(), "")
    for _ in range(5):
        write(kafka, asked(to).SerializeToString())
    await settled(process, to, "UNDELIVERABLE")

    async def all_listed() -> bool:
        return len(await listed(process, to)) == 5

    await until(all_listed)
    ids = [n.event_id for n in await listed(process, to)]
    assert ids == sorted(ids, reverse=True)
