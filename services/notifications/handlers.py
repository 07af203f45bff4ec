"""The reads of a customer's messages, one function for each RPC."""

import uuid
from dataclasses import dataclass

from services.chassis.page_tokens import PageTokens, page_rows, query_digest
from services.notifications.state import Notification
from services.notifications.store import Store


@dataclass(frozen=True, slots=True)
class Dependencies:
    """The dependencies of the handlers."""

    store: Store
    tokens: PageTokens


async def list_notifications(
    deps: Dependencies, customer_id: uuid.UUID, page_size: int, page_token: str
) -> tuple[list[Notification], str]:
    """Return a page of the customer's messages, newest first, and the token of the next page.

    Raises PageTokenInvalid.
    """
    digest = query_digest("ListNotifications", customer_id)
    cursor = deps.tokens.open(page_token, digest)
    rows_max = page_rows(page_size)
    found = await deps.store.list_of_customer(customer_id, cursor, rows_max + 1)
    if len(found) <= rows_max:
        return found, ""
    return found[:rows_max], deps.tokens.seal(digest, found[rows_max - 1].notification_id)
