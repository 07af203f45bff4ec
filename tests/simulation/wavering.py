"""A clearing house that judges the same request in two ways."""

import itertools
from collections.abc import Callable

from sandbox.partners.ach.book import Order
from sandbox.partners.ach.wire import WireError, order_from


def wavering(every: int) -> Callable[[bytes], Order]:
    """Judge as the clearing house does, and refuse one order of so many whatever it is."""
    count = itertools.count(1)

    def judge(body: bytes) -> Order:
        order = order_from(body)
        if next(count) % every == 0:
            raise WireError(422, "UNKNOWN_ROUTING_NUMBER", "no bank has this number", "routing")
        return order

    return judge
