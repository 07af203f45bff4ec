"""A call that is asked about: what it says about itself, and who makes it."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Call:
    """One request, before any filter has seen it."""

    authority: str
    path: str
    verb: str = "POST"
    identity: str | None = None
    """The SPIFFE identity in the caller's certificate."""
    claims: Mapping[str, str] | None = None
    """The claims of a valid token; None without a token."""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])

    def header(self, name: str) -> str | None:
        """Return a header or pseudo-header."""
        pseudo = {":authority": self.authority, ":path": self.path, ":method": self.verb}
        return pseudo.get(name.lower(), self.headers.get(name.lower()))
