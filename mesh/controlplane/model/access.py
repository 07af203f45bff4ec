"""Who may call which method.

`Grant` is derived from the contracts and is the only thing that allows a call. `Policy` is what
SREs add: it can only narrow.
"""

from dataclasses import dataclass
from enum import Enum, auto

from mesh.controlplane.model.routes import Text


@dataclass(frozen=True, slots=True)
class Grant:
    """One method and the only mesh identities that may call it."""

    path: str
    deadline_ms: int
    principals: tuple[str, ...]


class Verdict(Enum):
    """What a policy does with a request that one of its rules matches."""

    ALLOW = auto()
    """Allows what the contracts allow too; `resolve` refuses anything else. It changes no call."""
    DENY = auto()


@dataclass(frozen=True, slots=True)
class Caller:
    """A set of callers by their SPIFFE IDs: in `identities`, unless also in `except_identities`.

    No `identities` means every caller.
    """

    identities: tuple[Text, ...] = ()
    except_identities: tuple[Text, ...] = ()


@dataclass(frozen=True, slots=True)
class PolicyRule:
    """Matches a request of one of the callers to one of the paths, unless to an excepted path.

    No `callers` means every caller, no `paths` every path.
    """

    callers: tuple[Caller, ...] = ()
    paths: tuple[Text, ...] = ()
    except_paths: tuple[Text, ...] = ()

    def fits_caller(self, identity: str) -> bool:
        """Return whether a SPIFFE ID is one of the callers."""
        found = ((each.identities, each.except_identities) for each in self.callers)
        return not self.callers or any(_among(identity, *each) for each in found)

    def fits_path(self, path: str) -> bool:
        """Return whether the path of a method is one of the paths."""
        return _among(path, self.paths, self.except_paths)


@dataclass(frozen=True, slots=True)
class Policy:
    """An AuthorizationPolicy of SREs: it matches a request if one of its rules does.

    A dry run only counts the requests to which it would apply.
    """

    name: str
    verdict: Verdict
    rules: tuple[PolicyRule, ...]
    dry_run: bool = False


def _among(text: str, some: tuple[Text, ...], excepted: tuple[Text, ...]) -> bool:
    named = not some or any(each.fits(text) for each in some)
    return named and not any(each.fits(text) for each in excepted)
