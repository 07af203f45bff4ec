"""Page tokens: a cursor with a digest of its query, sealed so that no caller can forge one."""

import base64
import binascii
import hashlib
import hmac
import uuid
from collections.abc import Mapping

from bp.type.v1.page_pb2 import PageCursor
from google.protobuf.message import DecodeError

from services.kernel.errors import PageTokenInvalid

_SEAL_BYTES = 16
PAGE_ROWS_MAX = 100
"""The largest number of rows on a page, as the contracts say."""
_PAGE_ROWS = 50


def page_rows(page_size: int) -> int:
    """Return the rows of a page for a request's page_size: 0 means 50, and above 100 means 100."""
    return min(page_size or _PAGE_ROWS, PAGE_ROWS_MAX)


def query_digest(*parts: object, **filters: object) -> bytes:
    """Return the digest of a list's method, caller and filters.

    A filter that is None is not part of the digest. So after a release that adds a filter,
    tokens of lists that do not use it remain valid, and the previous version accepts new tokens.
    """
    used = [f"{name}={value}" for name, value in filters.items() if value is not None]
    return hashlib.sha256("\0".join([*map(str, parts), *used]).encode()).digest()


class PageTokens:
    """Seals and opens the tokens of one service with its own key."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    @classmethod
    def of(cls, secret: Mapping[str, str]) -> "PageTokens":
        """Return the tokens of a service from `secret/service/<name>`."""
        return cls(bytes.fromhex(secret["page_token_key"]))

    def seal(self, digest: bytes, last_id: uuid.UUID) -> str:
        """Return the token of the page that follows `last_id`."""
        body = PageCursor(query_digest=digest, last_id=last_id.bytes).SerializeToString()
        return base64.urlsafe_b64encode(self._mac(body) + body).decode()

    def open(self, token: str, digest: bytes) -> uuid.UUID | None:
        """Return the id after which the page starts, None for the first; raise PageTokenInvalid."""
        if not token:
            return None
        try:
            raw = base64.b64decode(token.encode(), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            raise PageTokenInvalid from None
        seal, body = raw[:_SEAL_BYTES], raw[_SEAL_BYTES:]
        if not hmac.compare_digest(seal, self._mac(body)):
            raise PageTokenInvalid
        return self._cursor(body, digest)

    def _cursor(self, body: bytes, digest: bytes) -> uuid.UUID:
        try:
            cursor = PageCursor.FromString(body)
        except DecodeError:
            raise PageTokenInvalid from None
        if not hmac.compare_digest(cursor.query_digest, digest):
            raise PageTokenInvalid
        return uuid.UUID(bytes=cursor.last_id)

    def _mac(self, body: bytes) -> bytes:
        return hmac.digest(self._key, body, "sha256")[:_SEAL_BYTES]
