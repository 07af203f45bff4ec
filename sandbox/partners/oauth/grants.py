"""The grants that refresh tokens belong to: what they allow, which token is current, their end.

Each refresh replaces the token. If the last token is used again within the leeway, the caller lost
the answer, and the grant gets a further current token. The first current token that is used makes
the others invalid. Any other use of an earlier token ends the grant (RFC 9700, 4.14.2). A session
has at most one grant. Each change is in the journal before it is answered.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from sandbox.partners.journal import Journal
from sandbox.partners.oauth import refresh_tokens
from sandbox.partners.oauth.refresh_tokens import Digests

CURRENT_MAX = 8
"""Tokens that repeated uses of the last one may make; the oldest becomes invalid."""
SPARE_RECORDS = 1000
"""The journal may have this many records more than twice the grants, so it is rarely rewritten."""


@dataclass(frozen=True, slots=True)
class Consent:
    """What a customer's session allows a client. `scope` is space-separated, times are unix."""

    client_id: str
    subject: str
    audience: str
    scope: str
    sid: str
    device: str
    amr: tuple[str, ...]
    auth_time: int
    actor: str


@dataclass(slots=True)
class Grant:
    """A consent and its refresh tokens, which are digests. `last` was valid until `rotated_at`."""

    name: str
    consent: Consent
    opened_at: float
    until: float
    current: list[str] = field(default_factory=list)
    last: str = ""
    rotated_at: float = 0


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a grant lives, how long the last token may be used again, and how many grants."""

    ttl_s: float
    leeway_s: float
    grants_max: int


class Use(Enum):
    """What the use of a refresh token means for its grant."""

    CURRENT = "the token is current"
    REPEATED = "the last token is used again within the leeway"
    REUSED = "an earlier token is used"


class Grants:
    """All grants of the provider; `now` is always a unix time."""

    def __init__(self, path: Path, limits: Limits, now: float) -> None:
        """Read the journal; grants that have expired are dropped."""
        self._limits = limits
        self._journal = Journal(path)
        self._by_name: dict[str, Grant] = {}
        self._by_session: dict[str, Grant] = {}
        self._ended: dict[str, tuple[float, float]] = {}
        for _, record in self._journal.replay():
            self._apply(record)
        self._tidy(now)

    def __len__(self) -> int:
        """Return the number of grants that have not ended."""
        return len(self._by_name)

    def open(self, consent: Consent, now: float) -> str:
        """Return the first refresh token of a new grant, which replaces the session's earlier one.
        Beyond the limit of grants, the oldest grant ends."""
        token = refresh_tokens.next_token(refresh_tokens.new_name())
        digest = _digests(token)
        grant = Grant(digest.name, consent, now, now + self._limits.ttl_s, [digest.token])
        self._write(_snapshot(grant))
        self._tidy(now)
        return token

    def find(self, token: str, now: float) -> Grant | None:
        """Return the grant to which a refresh token belongs, also an earlier token."""
        digest = refresh_tokens.digests(token)
        grant = self._by_name.get(digest.name) if digest is not None else None
        return grant if grant is not None and now < grant.until else None

    def use_of(self, grant: Grant, token: str, now: float) -> Use:
        """Return what the use of a token of the grant means."""
        digest = _digests(token).token
        if digest in grant.current:
            return Use.CURRENT
        is_in_time = now - grant.rotated_at < self._limits.leeway_s
        return Use.REPEATED if digest == grant.last and is_in_time else Use.REUSED

    def rotate(self, grant: Grant, token: str, now: float) -> str:
        """Return the successor of a current token, which becomes the last one."""
        used, successor = _digests(token).token, self._successor(token)
        record = {"do": "rotate", "name": grant.name, "used": used, "at": now}
        self._write({**record, "next": _digests(successor).token})
        self._tidy(now)
        return successor

    def repeat(self, grant: Grant, token: str, now: float) -> str:
        """Return a further successor of the last token."""
        successor = self._successor(token)
        self._write({"do": "repeat", "name": grant.name, "next": _digests(successor).token})
        self._tidy(now)
        return successor

    def end(self, session: str, now: float, forget_at: float) -> None:
        """End a session: its grant, and its access tokens, which have expired at `forget_at`."""
        self._write({"do": "end", "session": session, "at": now, "forget_at": forget_at})
        self._tidy(now)

    def has_ended(self, session: str, issued_at: float) -> bool:
        """Return whether the session ended after an access token was issued, whose `iat` is in
        whole seconds: a token issued in the second of the end counts as ended."""
        end, _ = self._ended.get(session, (-1.0, 0.0))
        return issued_at <= end

    def close(self) -> None:
        """Release the journal."""
        self._journal.close()

    def _successor(self, token: str) -> str:
        return refresh_tokens.next_token(refresh_tokens.name_in(token))

    def _write(self, record: dict[str, Any]) -> None:
        self._journal.append(record)
        self._apply(record)

    def _apply(self, record: dict[str, Any]) -> None:
        """Make the change of a record. A record of a grant that was dropped changes nothing."""
        if record["do"] == "open":
            self._opened(_grant(record))
        elif record["do"] == "end":
            self._drop(self._by_session.get(record["session"]))
            self._ended.pop(record["session"], None)
            self._ended[record["session"]] = (record["at"], record["forget_at"])
        elif (grant := self._by_name.get(record["name"])) is not None:
            _replace_token(grant, record)

    def _opened(self, grant: Grant) -> None:
        self._drop(self._by_session.get(grant.consent.sid))
        if len(self._by_name) >= self._limits.grants_max:
            self._drop(next(iter(self._by_name.values())))
        self._by_name[grant.name] = self._by_session[grant.consent.sid] = grant

    def _drop(self, grant: Grant | None) -> None:
        if grant is not None:
            del self._by_name[grant.name], self._by_session[grant.consent.sid]

    def _tidy(self, now: float) -> None:
        """Drop what has expired, oldest first, and rewrite the journal when most of it is old."""
        while self._by_name and (oldest := next(iter(self._by_name.values()))).until <= now:
            self._drop(oldest)
        while self._ended and self._is_forgotten(next(iter(self._ended)), now):
            del self._ended[next(iter(self._ended))]
        kept = len(self._by_name) + len(self._ended)
        if self._journal.records > 2 * kept + SPARE_RECORDS:
            self._journal.replace(self._records())

    def _is_forgotten(self, session: str, now: float) -> bool:
        return self._ended[session][1] <= now or len(self._ended) > self._limits.grants_max

    def _records(self) -> Iterator[dict[str, Any]]:
        for session, (at, forget_at) in self._ended.items():
            yield {"do": "end", "session": session, "at": at, "forget_at": forget_at}
        yield from map(_snapshot, self._by_name.values())


def _replace_token(grant: Grant, record: dict[str, Any]) -> None:
    if record["do"] == "rotate":
        grant.current, grant.last, grant.rotated_at = [], record["used"], record["at"]
    grant.current = [*grant.current, record["next"]][-CURRENT_MAX:]


def _snapshot(grant: Grant) -> dict[str, Any]:
    return {"do": "open", **asdict(grant)}


def _grant(record: dict[str, Any]) -> Grant:
    consent: dict[str, Any] = {**record["consent"], "amr": tuple(record["consent"]["amr"])}
    fields: dict[str, Any] = {**record, "consent": Consent(**consent)}
    del fields["do"]
    return Grant(**fields)


def _digests(token: str) -> Digests:
    """Return the digests of a token that is known to have the right form."""
    found = refresh_tokens.digests(token)
    if found is None:
        raise ValueError("the text is not a refresh token")
    return found
