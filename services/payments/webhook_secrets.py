"""The secrets that sign the clearing house's notices, read again while the process runs.

Every field of the secret whose name begins with `webhook_secret` is valid. A rotation adds the new
secret, waits until the clearing house signs with it, and then removes the old one.
"""

import time
from collections.abc import Awaitable, Callable, Mapping

import hvac.exceptions
import structlog

from services.chassis.unreachable import UNREACHABLE

PREFIX = "webhook_secret"

AFTER_REFUSAL_S = 5.0
"""After a refused signature, the process reads the secrets immediately, at most this often."""

log = structlog.get_logger()


class WebhookSecrets:
    """The valid secrets of one process."""

    def __init__(
        self,
        fields: Mapping[str, str],
        read: Callable[[], Awaitable[Mapping[str, str]]],
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """`fields` is the secret at start, and `read` returns the current one."""
        self.valid = _valid(fields)
        self._read = read
        self._now_s = now_s
        self._read_at_s = now_s()

    async def refresh(self) -> None:
        """Read the secrets again; keep the known ones if they cannot be read or are missing."""
        self._read_at_s = self._now_s()
        try:
            valid = _valid(await self._read())
        except (hvac.exceptions.VaultError, *UNREACHABLE) as error:
            log.warning("webhook.secrets_unread", error=type(error).__name__)
            return
        if not valid:
            log.error("webhook.secrets_missing")
        elif valid != self.valid:
            log.info("webhook.secrets_changed", valid=len(valid))
            self.valid = valid

    async def refresh_after_refusal(self) -> bool:
        """Read the secrets again, unless that was just done; return whether they have changed."""
        known = self.valid
        if self._now_s() - self._read_at_s >= AFTER_REFUSAL_S:
            await self.refresh()
        return self.valid != known


def _valid(fields: Mapping[str, str]) -> tuple[bytes, ...]:
    names = sorted(name for name in fields if name.startswith(PREFIX))
    return tuple(fields[name].encode() for name in names if fields[name])
