"""The bank's services, each as its bootstrap wires it, on ports of the simulation."""

import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import grpc
import grpc.aio

from sandbox.simulator.broker import Producer
from sandbox.simulator.chance import Point
from sandbox.simulator.clearing_house import SECRET
from sandbox.simulator.connections import Connection, Pool
from sandbox.simulator.partner_lines import PartnerSession
from sandbox.simulator.processes import ENTITY, Process
from services.chassis.outages import repeat
from services.chassis.page_tokens import PageTokens
from services.payments import bootstrap as payments
from services.payments import reconciliation
from services.payments.checks import AccountFacts, Limits
from services.payments.driver import POLL_S, Driver
from services.payments.grpc_api import PaymentsApi
from services.payments.handlers import Parts, match_kept_notices
from services.payments.partners.ach import AchClient
from services.payments.partners.fraud import FraudClient
from services.payments.settings import PaymentsSettings
from services.payments.store import Store as PaymentsStore
from services.relay.figures import Figures
from services.relay.relay import Relay
from services.relay.settings import RelaySettings
from services.transfers.grpc_api import TransfersApi
from services.transfers.handlers import Desk
from services.transfers.settings import TransfersSettings
from services.transfers.state import KnownAccount
from services.transfers.store import Store as TransfersStore

if TYPE_CHECKING:
    from sandbox.simulator.world import World

_LATENCY = 71
_PLACES: dict[str, Any] = {
    "home": Path("/nonexistent"),
    "socket_in": Path("/nonexistent"),
    "openbao_addr": "",
    "service_account_token_file": Path("/nonexistent"),
}
TOKENS = PageTokens(bytes(32))

Method = Callable[[Any, Any], Awaitable[Any]]


@dataclass(slots=True)
class Slot:
    """A worker of a service: the process that runs now, and its methods."""

    process: Process
    methods: dict[str, Method] = field(default_factory=dict[str, Method])


@dataclass(slots=True)
class Service:
    """A service with its workers."""

    slots: list[Slot]


RELAY_PACE: dict[str, Any] = {
    "relay_gather_ms": 800,
    "relay_poll_ms": 400,
    "relay_asleep_after_ms": 300,
    "relay_poll_asleep_ms": 6 * 3_600_000,
    "relay_lead_poll_ms": 6 * 3_600_000,
}
"""Fewer looks than production's: an idle day must not cost a million of them."""


@cache
def _payments_settings() -> PaymentsSettings:
    # Callers are sent away sooner than in production, so that fewer looks are spent on waiting.
    return PaymentsSettings(service="payments", answer_wait_s=1.5, **_PLACES)


@cache
def _transfers_settings() -> TransfersSettings:
    return TransfersSettings(service="transfers", **_PLACES)


@cache
def _relay_settings() -> RelaySettings:
    return RelaySettings(service="relay", **_PLACES, **RELAY_PACE)


def start_payments(world: "World", process: Process, number: int) -> dict[str, Method]:
    """Run a worker of payments, wired as in its bootstrap."""
    settings = _payments_settings()
    store = PaymentsStore(
        cast(Any, Pool(world, process, world.statements.payments)), world.queries.payments
    )
    session = cast(Any, PartnerSession(world, process))
    ach = AchClient(session, "not asked here")
    driver = Driver(store, ach, f"payments/{number}", settings.settlement_wait_s)
    parts = Parts(
        store=store,
        driver=driver,
        ach=ach,
        fraud=FraudClient(session, "not asked here"),
        ask_account=partial(_ask_account, world, process),
        limits=Limits(settings.transfer_max_minor_units, settings.unscored_max_minor_units),
        tokens=TOKENS,
        wait_s=settings.answer_wait_s,
    )
    api = PaymentsApi(parts, SECRET.encode())

    async def saga() -> None:
        await world.waits.until_due(process)
        await driver.resume()

    async def notices() -> None:
        await world.waits.until_kept(process)
        await match_kept_notices(parts)

    async def unsettled() -> None:
        await world.waits.until_unsettled(process)
        await reconciliation.ask_for_unsettled(parts)

    world.watch(process, repeat("saga", saga, POLL_S))
    world.watch(process, repeat("notices", notices, payments.MATCH_NOTICES_S))
    world.watch(process, repeat("unsettled", unsettled, reconciliation.EVERY_S))
    return {
        "create": api.create_interbank_transfer,
        "cancel": api.cancel_interbank_transfer,
        "notice": api.receive_ach_webhook,
    }


async def _ask_account(
    world: "World", process: Process, customer_id: uuid.UUID, account_id: uuid.UUID
) -> AccountFacts:
    """Answer as customers does."""
    await _customers_answer(world, process)
    owned = world.owner.get(account_id) == customer_id
    return AccountFacts(owned, account_id not in world.frozen, "USD" if owned else "")


async def _customers_answer(world: "World", process: Process) -> None:
    entity = ENTITY.get()
    if not process.runs():
        await process.gate()
    await world.loop.pause(world.chance.between(0.001, 0.01, _LATENCY, entity))
    if world.chance.strikes(Point.CUSTOMERS_AWAY, entity):
        nothing = grpc.aio.Metadata()
        raise grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, nothing, nothing)
    if not process.runs():
        await process.gate()


class _Accounts:
    """What customers tells transfers."""

    def __init__(self, world: "World", process: Process) -> None:
        self._world = world
        self._process = process

    async def check(
        self, call: Any, account_id: Any, destination_id: Any = None
    ) -> tuple[KnownAccount | None, KnownAccount | None]:
        """Return the caller's account and the one to credit."""
        await _customers_answer(self._world, self._process)
        source = self._known(account_id)
        owned = source is not None and source.customer_id == call.customer_id
        return source if owned else None, self._known(destination_id)

    def _known(self, account_id: Any) -> KnownAccount | None:
        owner = self._world.owner.get(account_id)
        if owner is None:
            return None
        active = account_id not in self._world.frozen
        return KnownAccount(account_id, owner, "USD", debitable=active, creditable=True)


def start_transfers(world: "World", process: Process, _number: int) -> dict[str, Method]:
    """Run a worker of transfers."""
    settings = _transfers_settings()
    store = TransfersStore(cast(Any, Pool(world, process, world.statements.transfers)))
    accounts = cast(Any, _Accounts(world, process))
    api = TransfersApi(Desk(settings, store, accounts, TOKENS))
    return {"book": api.create_book_transfer}


def start_relay(world: "World", process: Process, _number: int) -> dict[str, Method]:
    """Run a relay; one of them has the lead."""
    settings = _relay_settings()

    async def connect() -> Any:
        if not process.runs():
            await process.gate()
        return Connection(world, process, world.statements.outbox)

    relay = Relay(settings, connect, cast(Any, Producer(world, process)), Figures())
    world.watch(process, relay.run())
    return {}
