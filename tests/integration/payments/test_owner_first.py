"""A caller that sends the id of another customer's account causes neither a search nor a record."""

import uuid
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any, cast

import aiohttp
import pytest
import pytest_asyncio
from bp.customers.v1.account_pb2 import Account
from bp.customers.v1.customers_service_pb2 import CheckDebitResponse
from structlog.testing import capture_logs

from lab.simulator.services.places import NOWHERE
from services.chassis.page_tokens import PageTokens
from services.chassis.wait_limit import WaitLimit
from services.kernel.money import Money
from services.payments import errors, handlers
from services.payments.checks import Limits
from services.payments.dependencies import Dependencies
from services.payments.driver import Driver
from services.payments.partners.ach import AchClient
from services.payments.partners.fraud import FraudClient
from services.payments.settings import PaymentsSettings
from services.payments.store import Store
from services.payments.transfer import Transfer
from tests.integration.payments.orders import debit, order_of
from tests.rigs.ledger_bank import Holder, LedgerBank
from tests.rigs.stores import PostgresStore

LIMIT = 100_00


class _Owners:
    """The customers service's answers about the accounts of some holders."""

    def __init__(self) -> None:
        self.owner: dict[uuid.UUID, uuid.UUID] = {}

    async def check_debit(
        self, customer_id: uuid.UUID, account_id: uuid.UUID, **_: float
    ) -> CheckDebitResponse:
        """Return the account if it is the customer's."""
        if self.owner.get(account_id) != customer_id:
            return CheckDebitResponse()
        account = Account(state=Account.State.ACTIVE, currency_code="USD")
        return CheckDebitResponse(account=account)


class _Reads(Store):
    """Counts the reads of lists."""

    lists = 0

    async def transfers_of_account(self, *args: Any, **options: Any) -> list[Transfer]:
        self.lists += 1
        return await super().transfers_of_account(*args, **options)


@pytest_asyncio.fixture
async def deps(postgres: PostgresStore) -> AsyncGenerator[Dependencies]:
    pool = await postgres.pool("bp_payments")
    store = _Reads(pool)
    async with aiohttp.ClientSession() as session:
        ach = AchClient(session, session, "key")
        yield Dependencies(
            settings=PaymentsSettings(service="payments", **NOWHERE),
            store=store,
            driver=Driver(store, ach, "test/0"),
            ach=ach,
            fraud=FraudClient(session, "token"),
            customers=cast("Any", _Owners()),
            limits=Limits(transfer_max=LIMIT, unscored_max=LIMIT),
            waits=WaitLimit(waits_max=10, per_customer_max=10),
            tokens=PageTokens.of({"page_token_key": "0" * 64}),
            webhook_secrets=cast("Any", None),
        )
    await pool.close()


async def _holder(deps: Dependencies, bank: LedgerBank) -> Holder:
    holder = await bank.open_holder(5_00)
    cast("_Owners", deps.customers).owner[holder.account_id] = holder.customer_id
    return holder


async def _listed(deps: Dependencies, holder: Holder, account_id: uuid.UUID) -> list[Transfer]:
    transfers, _ = await handlers.list_interbank_transfers(
        deps, holder.customer_id, account_id, state=None, page_size=10, page_token=""
    )
    return transfers


async def test_the_list_of_another_customers_account_is_refused_before_it_is_read(
    deps: Dependencies, bank: LedgerBank
) -> None:
    owner, other = await _holder(deps, bank), await _holder(deps, bank)
    made, _ = await debit(deps.store, order_of(owner), deps.driver.lease())
    with pytest.raises(errors.AccountNotFound):
        await _listed(deps, other, owner.account_id)
    assert cast("_Reads", deps.store).lists == 0
    assert [one.transfer_id for one in await _listed(deps, owner, owner.account_id)] == [
        made.transfer_id
    ]


async def test_only_an_order_of_the_callers_own_account_is_kept_on_record(
    deps: Dependencies, bank: LedgerBank
) -> None:
    owner, other = await _holder(deps, bank), await _holder(deps, bank)
    own = replace(order_of(owner), amount=Money(LIMIT + 1, "USD"))
    unknown = uuid.uuid4()
    with capture_logs() as logs:
        for order in (
            own,
            replace(own, customer_id=other.customer_id),
            replace(own, account_id=unknown),
        ):
            with pytest.raises(errors.AmountLimitExceeded):
                await handlers.create_interbank_transfer(deps, order, None)
    write = await bank.superuser("bp_write")
    rows = await write.fetch(
        "SELECT d.customer_id, d.account_id, e.event_type FROM payments.declined_order d"
        " LEFT JOIN outbox.event e ON e.subject = d.decline_id"
        " WHERE d.account_id = ANY ($1) OR d.customer_id = ANY ($2)",
        [owner.account_id, unknown],
        [owner.customer_id, other.customer_id],
    )
    event = "bp.payments.v1.TransferDeclined"
    assert [(*row,) for row in rows] == [(owner.customer_id, owner.account_id, event)]
    declined = [line for line in logs if line["event"] == "order.declined"]
    assert [line["error_reason"] for line in declined] == ["AMOUNT_LIMIT_EXCEEDED"]
