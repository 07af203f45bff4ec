"""The set of revoked sessions: its size, its expiry, and the boundary that asks it."""

import uuid
from typing import Any, cast

import pytest
from bp.customers.v1 import customers_service_pb2

from services import contracts
from services.chassis import boundary, revocations
from services.chassis.grpc_server import Server
from services.chassis.revocations import RevokedSessions
from services.chassis.status import to_status
from services.customers.bootstrap import apis
from services.kernel import errors
from tests.rigs.sidecar_calls import SCOPES, SESSION, certificate_of

BALANCE = "/bp.customers.v1.CustomersService/GetBalance"
LATER_S = 4e9


def test_a_session_is_revoked_until_its_entry_expires() -> None:
    revoked = RevokedSessions()
    revoked.add([b"a"], 1_000)
    revoked.add([b"a", b"b"], 2_000)
    assert revoked.is_revoked("a")
    assert not revoked.is_revoked("c")
    assert not revoked.is_revoked("")
    revoked.drop_expired(1_000)
    assert (revoked.is_revoked("a"), revoked.is_revoked("b"), len(revoked)) == (False, True, 1)


def test_the_entries_that_were_read_last_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(revocations, "ENTRIES_MAX", 3)
    revoked = RevokedSessions()
    revoked.add([b"0", b"1"], 1_000)
    revoked.add([b"2", b"3", b"4"], 2_000)
    assert [each for each in "01234" if revoked.is_revoked(each)] == ["2", "3", "4"]


class _Context:
    """The context of a customer's call through the gateway; it keeps the refusal."""

    def __init__(self, session: str) -> None:
        self.session = session
        self.refused: list[Any] = []

    def invocation_metadata(self) -> list[tuple[str, str]]:
        """Return what the gateway's sidecar sends."""
        return [
            certificate_of("gateway"),
            ("x-bp-subject", str(uuid.uuid4())),
            ("x-bp-scope", SCOPES),
            ("x-bp-session", self.session),
        ]

    async def abort(self, *refusal: Any) -> None:
        """Keep the refusal."""
        self.refused.append(refusal)


async def test_a_call_of_a_revoked_session_is_unauthenticated() -> None:
    served: list[str] = []

    async def handler(_request: object, _context: object) -> str:
        served.append("call")
        return "answer"

    contract, revoked = contracts.load()[BALANCE], RevokedSessions()
    call = boundary.guarded(contract, handler, boundary.CallLimit(1), revoked)
    request = _balance_request()
    before, after, other = _Context(SESSION), _Context(SESSION), _Context("another")
    assert await call(request, cast("Any", before)) == "answer"
    revoked.add([SESSION.encode()], LATER_S)
    await call(request, cast("Any", after))
    assert await call(request, cast("Any", other)) == "answer"
    assert (before.refused, other.refused, len(served)) == ([], [], 2)
    ((_, message, trailers),) = after.refused
    expected = to_status(errors.Unauthenticated()).SerializeToString()
    assert message == errors.Unauthenticated().message
    assert dict(trailers)["grpc-status-details-bin"] == expected


def _balance_request() -> Any:
    """Return a valid request for a balance."""
    return customers_service_pb2.GetBalanceRequest(account_id=str(uuid.uuid4()))


def test_a_server_for_customers_needs_the_revoked_sessions() -> None:
    with pytest.raises(ValueError, match="is for customers; pass the revoked sessions"):
        Server(cast("Any", None), apis(cast("Any", None)))
