"""Makes the clearing house change its decision about the same request."""

import itertools
from collections.abc import Callable

from sandbox.partners.ach.book import Order
from sandbox.partners.ach.wire import order_from
from sandbox.partners.refusals import WireError


def wavering(every: int) -> Callable[[bytes], Order]:
    """Return the clearing house's parser, changed to refuse every `every`-th order."""
    count = itertools.count(1)

    def judge(body: bytes) -> Order:
        order = order_from(body)
        if next(count) % every == 0:
            raise WireError(422, "UNKNOWN_ROUTING_NUMBER", "no bank has this number", "routing")
        return order

    return judge
