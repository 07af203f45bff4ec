"""Admission of new streams: token buckets. Pure: the caller gives the time.

After a restart of the control plane all proxies connect at once. The bucket of all nodes spreads
them; refused ones come again after their back-off. Each node has a bucket too, so a proxy that
connects in a loop cannot use up the tokens of the others. Many such proxies cannot either: half of
the common bucket is only for calm nodes, whose own bucket is almost full.
"""

from collections import OrderedDict
from dataclasses import dataclass

NODES_MAX = 10_000
"""Enough for all nodes of a mesh; more are remembered only where one socket serves every name."""
_KEPT, _CALM = 0.5, 0.8
"""The share of the common bucket that is kept for calm nodes, and what these have of their own."""


@dataclass(slots=True)
class TokenBucket:
    """Gives `rate_per_s` tokens a second, and at most `burst` at once."""

    rate_per_s: float
    burst: int
    _tokens: float = -1.0
    _at_s: float = 0.0

    def filled(self, now_s: float) -> float:
        """Return how many tokens there are now."""
        if self._tokens < 0:
            self._tokens, self._at_s = float(self.burst), now_s
        gained = max(0.0, now_s - self._at_s) * self.rate_per_s
        self._tokens = min(float(self.burst), self._tokens + gained)
        self._at_s = now_s
        return self._tokens

    def take(self, now_s: float, kept: float = 0.0) -> bool:
        """Take a token; return whether there was one besides those that are kept for others."""
        if self.filled(now_s) < kept + 1.0:
            return False
        self._tokens -= 1.0
        return True


class Admission:
    """Admits the streams of all nodes: each by its own bucket, and together by `whole`.

    The buckets of the nodes that came last are remembered; a forgotten one is full again.
    """

    def __init__(self, whole: TokenBucket, node_per_s: float, node_burst: int) -> None:
        self._whole = whole
        self._node_per_s, self._node_burst = node_per_s, node_burst
        self._nodes: OrderedDict[str, TokenBucket] = OrderedDict()

    def take(self, node: str, now_s: float) -> bool:
        """Return whether a node may open a stream now."""
        own = self._nodes.pop(node, None) or TokenBucket(self._node_per_s, self._node_burst)
        self._nodes[node] = own
        if len(self._nodes) > NODES_MAX:
            self._nodes.popitem(last=False)
        left = own.filled(now_s)
        kept = 0.0 if left >= _CALM * self._node_burst else _KEPT * self._whole.burst
        # A refusal takes nothing: a node that waits for its turn stays calm.
        return left >= 1.0 and self._whole.take(now_s, kept) and own.take(now_s)
