"""Admission of new streams: a token bucket. Pure: the caller gives the time.

After a restart of the control plane all proxies connect at once. The bucket spreads them; refused
ones come again after their back-off.
"""

from dataclasses import dataclass


@dataclass(slots=True)
class TokenBucket:
    """Gives `rate_per_s` tokens a second, and at most `burst` at once."""

    rate_per_s: float
    burst: int
    _tokens: float = -1.0
    _at_s: float = 0.0

    def take(self, now_s: float) -> bool:
        """Take a token; return whether there was one."""
        if self._tokens < 0:
            self._tokens, self._at_s = float(self.burst), now_s
        gained = max(0.0, now_s - self._at_s) * self.rate_per_s
        self._tokens = min(float(self.burst), self._tokens + gained)
        self._at_s = now_s
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True
