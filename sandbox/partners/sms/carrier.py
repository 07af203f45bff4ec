"""The SMS gateway as a whole: accepts messages once a key, ends them in time, sends receipts.

Each message is journalled before it is answered. At the start the journal is replayed; then the
receipts that were not delivered are queued again. Only the newest messages are kept.
"""

import asyncio
import heapq
import time
import uuid
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from sandbox.partners.refusals import WireError
from sandbox.partners.settings import SmsSettings
from sandbox.partners.sms.messages import Message, Plan, State, Text, planned
from sandbox.partners.sms.receipts import SIGNATURE_HEADER, receipt
from sandbox.partners.sms.store import Store
from sandbox.partners.webhooks import Notice, NoticeSender

TICK_S = 0.05


class Carrier:
    """One gateway with one store; every method takes the time from the clock of the machine."""

    def __init__(self, settings: SmsSettings) -> None:
        """Open the store and replay it."""
        self._settings = settings
        self._by_id: dict[str, Message] = {}
        self._by_key: dict[str, Message] = {}
        self._due: list[tuple[float, str]] = []
        self.sender = NoticeSender(settings.webhook, self._record_fate, SIGNATURE_HEADER)
        self._store = Store(settings.state_dir, settings.messages_max)
        self._restore()

    def accept(self, key: str, text: Text) -> Message:
        """Return a new message, or the one that its key already has; raise WireError 409."""
        known = self._by_key.get(key)
        if known is not None:
            if known.text != text:
                message = "this key was used for another message; use a new key"
                raise WireError(409, "IDEMPOTENCY_KEY_REUSED", message)
            return known
        at, settings = time.time(), self._settings
        plan = planned(text, at, settings.send_ms / 1000, settings.deliver_ms / 1000)
        made = Message(str(uuid.uuid4()), key, text, at, plan)
        self._store.append({"do": "accept", **asdict(made)})
        self._keep(made)
        heapq.heappush(self._due, (plan.ended_at, made.id))
        return made

    def find(self, message_id: str) -> Message | None:
        """Return a message by its id, None when there is none."""
        return self._by_id.get(message_id)

    def newest(self, number: str, limit: int) -> list[Message]:
        """Return the newest messages to a number, or to all if it is empty; the newest is last."""
        found: list[Message] = []
        for message in reversed(self._by_id.values()):
            if len(found) == limit:
                break
            if number in ("", message.text.to):
                found.append(message)
        return found[::-1]

    def of_key(self, key: str) -> list[Notice]:
        """Return the receipt of the message with a key, if the message has ended."""
        message = self._by_key.get(key)
        return self._receipts([message] if message is not None else [])

    def every(self) -> Iterable[Notice]:
        """Return the receipts of all messages that have ended."""
        return self._receipts(self._by_id.values())

    def counts(self) -> dict[str, Any]:
        """Return the counts that the control API shows."""
        now = time.time()
        states = Counter(str(message.state(now)) for message in self._by_id.values())
        return {"messages": dict(states), "webhooks": self.sender.counts()}

    async def tick(self) -> None:
        """Queue the receipts of messages that end, in an endless loop."""
        while True:
            now = time.time()
            while self._due and self._due[0][0] <= now:
                message = self._by_id.get(heapq.heappop(self._due)[1])
                if message is not None:
                    self.sender.enqueue([receipt(message)])
            await asyncio.sleep(TICK_S)

    def close(self) -> None:
        """Release the store."""
        self._store.close()

    def _receipts(self, messages: Iterable[Message]) -> list[Notice]:
        now = time.time()
        return [receipt(one) for one in messages if now >= one.plan.ended_at]

    def _keep(self, message: Message) -> None:
        self._by_id[message.id] = self._by_key[message.key] = message
        if len(self._by_id) > self._settings.messages_max:
            oldest = self._by_id.pop(next(iter(self._by_id)))
            del self._by_key[oldest.key]
            self.sender.forget(receipt(oldest).id)

    def _record_fate(self, notice_id: str, fate: str) -> None:
        self._store.append({"do": "receipt", "id": notice_id, "fate": fate})

    def _restore(self) -> None:
        fates: dict[str, str] = {}
        for record in self._store.replay():
            if record["do"] == "accept":
                self._keep(_message(record))
            else:
                fates[record["id"]] = record["fate"]
        for message in self._by_id.values():
            notice = receipt(message)
            fate = fates.get(notice.id)
            if fate == "dead":
                self.sender.dead[notice.id] = notice
            elif fate == "delivered":
                self.sender.delivered += 1
            else:
                heapq.heappush(self._due, (message.plan.ended_at, message.id))


def _message(record: dict[str, Any]) -> Message:
    plan = record["plan"]
    return Message(
        id=record["id"],
        key=record["key"],
        text=Text(**record["text"]),
        accepted_at=record["accepted_at"],
        plan=Plan(plan["sent_at"], plan["ended_at"], State(plan["end"]), plan["error_code"]),
    )
