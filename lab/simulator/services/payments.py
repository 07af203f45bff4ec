"""Payments, wired as in `services/payments/bootstrap.py`."""

from functools import cache
from typing import Any, cast

from lab.simulator.clock import DAY_S
from lab.simulator.context import Context
from lab.simulator.machine import Method
from lab.simulator.ports.clearing_house import SECRET
from lab.simulator.ports.connections import Pool
from lab.simulator.ports.customers import Customers
from lab.simulator.ports.fraud import FraudSession
from lab.simulator.ports.partner_network import PartnerNetwork
from lab.simulator.processes import Process
from lab.simulator.services.places import NOWHERE
from lab.simulator.stores.payments_tables import PaymentsTables
from lab.simulator.stores.people import People
from lab.simulator.stores.schema import Schema
from lab.simulator.wakeups import Wakeups
from services.chassis.page_tokens import PageTokens
from services.chassis.periodic import repeat
from services.chassis.wait_limit import WaitLimit
from services.payments import bootstrap, reconciliation, reviews
from services.payments.checks import Limits
from services.payments.dependencies import Dependencies
from services.payments.driver import POLL_S, Driver
from services.payments.grpc_api import PaymentsApi
from services.payments.notices import match_kept_notices
from services.payments.partners.ach import AchClient
from services.payments.partners.fraud import FraudClient
from services.payments.settings import PaymentsSettings
from services.payments.store import Store
from services.payments.webhook_secrets import WebhookSecrets

API_KEY = "not asked here"
_FIELDS = {"webhook_secret": SECRET}


async def _fields() -> dict[str, str]:
    return _FIELDS


@cache
def _settings() -> PaymentsSettings:
    # Callers get an answer sooner than in production, so that waiting for it costs fewer polls. The
    # second return window ends sooner too, after the clearing house's last return.
    return PaymentsSettings(
        service="payments", answer_wait_s=1.5, late_return_wait_s=12 * DAY_S, **NOWHERE
    )


class Payments:
    """Starts workers of payments."""

    def __init__(
        self,
        context: Context,
        schema: Schema,
        tables: PaymentsTables,
        people: People,
        network: PartnerNetwork,
        wakeups: Wakeups,
    ) -> None:
        self._context = context
        self._schema = schema
        self._tables = tables
        self._people = people
        self._network = network
        self._wakeups = wakeups

    def start(self, process: Process, number: int) -> dict[str, Method]:
        """Run a worker."""
        deps = self._dependencies(process, number)
        self._run_background(process, deps)
        api = PaymentsApi(deps)
        return {
            "create": api.create_interbank_transfer,
            "cancel": api.cancel_interbank_transfer,
            "notice": api.receive_ach_webhook,
        }

    def _dependencies(self, process: Process, number: int) -> Dependencies:
        context, settings = self._context, _settings()
        store = Store(cast(Any, Pool(context, self._schema, process)))
        session = cast(Any, self._network.session(process))
        ach = AchClient(session, session, API_KEY)
        return Dependencies(
            settings=settings,
            store=store,
            driver=Driver(store, ach, f"payments/{number}", settings.settlement_wait_s),
            ach=ach,
            fraud=FraudClient(cast(Any, FraudSession(context, process)), API_KEY),
            customers=cast(Any, Customers(context, self._people, process)),
            limits=Limits(settings.transfer_minor_units_max, settings.unscored_minor_units_max),
            waits=WaitLimit.of(settings),
            tokens=PageTokens(bytes(32)),
            webhook_secrets=WebhookSecrets(_FIELDS, _fields),
        )

    def _run_background(self, process: Process, deps: Dependencies) -> None:
        wakeups, tables = self._wakeups, self._tables

        async def saga() -> None:
            await wakeups.until_due(process, tables.pending)
            await deps.driver.resume()

        async def notices() -> None:
            await wakeups.until_kept(process, tables.kept)
            await match_kept_notices(deps)

        async def unsettled() -> None:
            await wakeups.until_unsettled(process, tables.unsettled)
            await reconciliation.ask_for_unsettled(deps)

        async def returns() -> None:
            await wakeups.until_unsettled(process, tables.checks_due)
            await reconciliation.ask_for_late_returns(deps)

        async def decisions() -> None:
            await wakeups.until_decided(process, tables.unreported)
            await reviews.take_up_decisions(deps)

        watch = self._context.watch
        watch(process, repeat("saga", saga, POLL_S))
        watch(process, repeat("notices", notices, bootstrap.MATCH_NOTICES_S))
        watch(process, repeat("unsettled", unsettled, reconciliation.EVERY_S))
        watch(process, repeat("late returns", returns, reconciliation.EVERY_S))
        watch(process, repeat("reviews", decisions, reviews.EVERY_S))
