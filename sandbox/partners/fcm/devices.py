"""The messages of each device: the journal holds the messages, memory holds only their offsets.

`shown` returns what the user would see: a message replaces an earlier one with the same tag, as on
Android (notification.tag) and iOS (apns-collapse-id).
"""

from collections.abc import Iterable
from typing import Any

from sandbox.partners.journal import Journal

MESSAGES_PER_DEVICE_MAX = 10_000


class Devices:
    """Messages by device token, oldest first."""

    def __init__(self, journal: Journal) -> None:
        """Read the offsets of all messages from the journal."""
        self._journal = journal
        self._places: dict[str, list[int]] = {}
        self.messages = 0
        for offset, record in journal.replay():
            self._note(record["message"]["token"], offset)

    def deliver(self, message_id: str, message: dict[str, Any], at: str, call_id: str = "") -> None:
        """Write one message to the journal before the sender is answered. `call_id` is the call's
        X-Request-Id, which stays the same when a proxy retries the call."""
        record = {"id": message_id, "time": at, "message": message, "callId": call_id}
        self._note(message["token"], self._journal.append(record))

    def counts(self) -> dict[str, int]:
        """Return the number of messages by device."""
        return {device: len(places) for device, places in self._places.items()}

    def delivered(self, device: str, limit: int) -> list[dict[str, Any]]:
        """Return the newest `limit` messages of a device, oldest first, with duplicates."""
        return [self._journal.read(place) for place in self._places.get(device, [])[-limit:]]

    def _note(self, device: str, offset: int) -> None:
        places = self._places.setdefault(device, [])
        places.append(offset)
        if len(places) > MESSAGES_PER_DEVICE_MAX:
            del places[0]
        self.messages += 1


def shown(records: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the messages that remain visible on the device."""
    visible: dict[str, dict[str, Any]] = {}
    for record in records:
        tag = collapse_tag(record["message"]) or record["id"]
        visible.pop(tag, None)
        visible[tag] = record
    return list(visible.values())


def collapse_tag(message: dict[str, Any]) -> str:
    """Return the tag by which a message replaces an earlier one; empty when it never does."""
    android = message.get("android", {}).get("notification", {}).get("tag", "")
    headers = message.get("apns", {}).get("headers", {})
    lowered = {str(name).lower(): value for name, value in headers.items()}
    return str(android or lowered.get("apns-collapse-id", ""))
