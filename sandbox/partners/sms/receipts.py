"""The delivery receipt of a message. It carries neither the text nor the number.

Its id, type and time are derived from the message, so that a restart makes the same receipt.
"""

import uuid

import orjson

from sandbox.partners.sms.messages import Message, State
from sandbox.partners.sms.wire import rfc3339
from sandbox.partners.webhooks import Notice

NAMESPACE = uuid.UUID("9a0f9a52-8c57-4a4e-8f0b-6a2f5f3d1c70")
SIGNATURE_HEADER = "Sms-Signature"


def receipt(message: Message) -> Notice:
    """Return the receipt that tells how a message ended."""
    plan, text = message.plan, message.text
    data = {"messageId": message.id, "clientReference": text.reference, "state": plan.end}
    if plan.error_code:
        data["errorCode"] = plan.error_code
    event_id = str(uuid.uuid5(NAMESPACE, message.id))
    kind = "message.delivered" if plan.end is State.DELIVERED else "message.undelivered"
    event = {"id": event_id, "type": kind, "createTime": rfc3339(plan.ended_at), "data": data}
    return Notice(event_id, message.key, orjson.dumps(event))
