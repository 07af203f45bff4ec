"""Consumer group `notif`: writes a batch of requests in one statement, then sends the pushes."""

from collections.abc import Sequence
from datetime import timedelta

from services.chassis.kafka import Record, Subscription
from services.chassis.tasks import joint_tasks
from services.kernel.clock import utc_now
from services.notifications import templates
from services.notifications.languages import Languages
from services.notifications.mapping import to_request
from services.notifications.sender import Sender
from services.notifications.settings import GROUP, TOPIC, NotificationsSettings
from services.notifications.state import Device, Request
from services.notifications.store import Message, Store


def subscription(settings: NotificationsSettings) -> Subscription:
    """Return the topics that this process reads, and how it reads them."""
    return Subscription.of(
        settings,
        group=GROUP,
        topics=(TOPIC,),
        linger_ms=settings.batch_linger_ms,
        batch_rows_max=settings.batch_rows_max,
    )


class Requests:
    """Handles the batches of the group."""

    def __init__(
        self,
        store: Store,
        sender: Sender,
        languages: Languages,
        settings: NotificationsSettings,
    ) -> None:
        self._store = store
        self._languages = languages
        self._sender = sender
        self._lease = timedelta(seconds=settings.lease_s)

    async def ask(self, records: Sequence[Record]) -> None:
        """Write the batch and send the new messages; redelivered requests change nothing."""
        requests = [to_request(record) for record in records]
        customers = {request.customer_id for request in requests}
        async with joint_tasks() as tasks:
            reading = tasks.create_task(self._store.devices_of(customers))
            asking = tasks.create_task(self._languages(customers))
        devices, languages = reading.result(), asking.result()
        messages = [
            _message(
                request,
                devices.get(request.customer_id, []),
                languages.get(request.customer_id),
            )
            for request in requests
        ]
        pushes = await self._store.ask(messages, utc_now() + self._lease)
        await self._sender.accept(pushes)


def _message(request: Request, devices: list[Device], language: str | None) -> Message:
    """Write the text in the customer's language.

    If it is not known, the language is that of the device that was registered last.
    """
    known = devices[0].locale if devices else templates.DEFAULT_LOCALE
    text = templates.render(
        request.template,
        language or known,
        request.amount,
        reason=request.reason,
        device_name=request.device_name,
    )
    return Message(request, text, devices)
