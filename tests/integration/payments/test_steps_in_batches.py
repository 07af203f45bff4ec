"""Each step in a batch has the same effect as when it is saved alone."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import asyncpg

from ops.waiting import scaled_s
from services.kernel.clock import utc_now
from services.kernel.ids import new_id
from services.kernel.money import Money
from services.ledger.refusals import InsufficientFunds
from services.payments import mapping
from services.payments.rows import Debit, Lease
from services.payments.state import Event, State
from services.payments.store import Store
from services.payments.transfer import Fact, InterbankTransferOrder, Transfer, after
from tests.integration.payments.orders import debit, order_of
from tests.rigs.ledger_bank import Holder, LedgerBank
from tests.rigs.stores import PostgresStore

UNTIL = timedelta(seconds=30)


async def _debit(store: Store, order: InterbankTransferOrder) -> Debit:
    _, outcome = await debit(store, order, Lease("test/0", utc_now() + UNTIL))
    return outcome


async def _debited(store: Store, holder: Holder) -> Transfer:
    outcome = await _debit(store, order_of(holder))
    stored = await store.transfer(outcome.transfer_id)
    assert outcome.outcome == "DEBITED"
    assert stored is not None
    return stored.transfer


async def _step(store: Store, transfer: Transfer, trace: str) -> tuple[bool, bytes | None]:
    moved, transition = after(transfer, Fact(Event.ACCEPTED, trace_number=trace), utc_now())
    event = mapping.event_out(moved, transition.event_type, new_id())
    response = mapping.response_bytes(moved)
    lease = Lease("", utc_now())
    return await store.advance(moved, transition, event, lease, response=response)


async def _events(bank: LedgerBank, transfer: Transfer) -> list[str]:
    write = await bank.superuser("bp_write")
    rows: list[Any] = await write.fetch(
        "SELECT event_type FROM outbox.event WHERE subject = $1 ORDER BY id", transfer.transfer_id
    )
    return [row["event_type"].rpartition(".")[2] for row in rows]


async def test_each_transfer_of_a_batch_takes_its_own_step(store: Store, bank: LedgerBank) -> None:
    holders = [await bank.open_holder(100_00) for _ in range(5)]
    transfers = [await _debited(store, holder) for holder in holders for _ in range(3)]
    saved = await asyncio.gather(
        *(_step(store, transfer, f"9910000{n:08d}") for n, transfer in enumerate(transfers))
    )
    for number, (transfer, (advanced, answer)) in enumerate(zip(transfers, saved, strict=True)):
        stored = await store.transfer(transfer.transfer_id)
        assert stored is not None
        assert advanced
        assert (stored.transfer.state, stored.transfer.version) == (State.SUBMITTED, 2)
        assert stored.transfer.trace_number == f"9910000{number:08d}"
        assert stored.accepted_response == answer == mapping.response_bytes(stored.transfer)
        assert await _events(bank, transfer) == ["TransferDebited", "TransferSubmitted"]


async def test_two_steps_of_one_transfer_in_a_batch_are_one(store: Store, bank: LedgerBank) -> None:
    transfer = await _debited(store, await bank.open_holder(100_00))
    others = [await _debited(store, await bank.open_holder(100_00)) for _ in range(3)]
    twice = await asyncio.gather(
        *(_step(store, other, "991000000000007") for other in others),
        _step(store, transfer, "991000000000008"),
        _step(store, transfer, "991000000000009"),
    )
    assert [advanced for advanced, _ in twice[:3]] == [True, True, True]
    assert sorted(advanced for advanced, _ in twice[3:]) == [False, True]
    assert await _events(bank, transfer) == ["TransferDebited", "TransferSubmitted"]


async def test_a_transfer_that_moved_on_is_left_alone_and_the_others_go(
    store: Store, bank: LedgerBank
) -> None:
    late, fresh = [await _debited(store, await bank.open_holder(100_00)) for _ in range(2)]
    assert (await _step(store, late, "991000000000010"))[0]
    stale, good = await asyncio.gather(
        _step(store, late, "991000000000011"), _step(store, fresh, "991000000000012")
    )
    assert stale == (False, None)
    assert good[0]
    stored = await store.transfer(late.transfer_id)
    assert stored is not None
    assert stored.transfer.trace_number == "991000000000010"


async def test_a_step_that_cannot_be_saved_fails_no_other_of_its_batch(
    store: Store, bank: LedgerBank
) -> None:
    transfers = [await _debited(store, await bank.open_holder(100_00)) for _ in range(4)]
    saved = await asyncio.gather(
        *(_step(store, transfer, f"99100000000002{n}") for n, transfer in enumerate(transfers[:3])),
        _step(store, transfers[3], "no store holds a \0"),
        return_exceptions=True,
    )
    assert isinstance(saved[3], asyncpg.DataError)
    for transfer, outcome in zip(transfers[:3], saved[:3], strict=True):
        assert not isinstance(outcome, BaseException)
        assert outcome[0]
        assert await _events(bank, transfer) == ["TransferDebited", "TransferSubmitted"]
    assert await _events(bank, transfers[3]) == ["TransferDebited"]


async def test_a_refused_debit_writes_nothing_and_the_rest_of_its_batch_shares_a_commit(
    store: Store, bank: LedgerBank
) -> None:
    rich = [await bank.open_holder(100_00) for _ in range(4)]
    order = order_of(await bank.open_holder(0))
    # The first step is a batch alone; the others arrive while it is in flight and share a batch.
    _, refused, *transfers = await asyncio.gather(
        _debited(store, await bank.open_holder(100_00)),
        _debit(store, order),
        *(_debited(store, holder) for holder in rich),
        return_exceptions=True,
    )
    assert isinstance(refused, InsufficientFunds)
    assert await store.key(order) is None
    for holder, transfer in zip(rich, transfers, strict=True):
        assert isinstance(transfer, Transfer)
        assert await bank.held(holder.account_id) == (99_00, 2)
        assert await _events(bank, transfer) == ["TransferDebited"]
    write = await bank.superuser("bp_write")
    commits = await write.fetchval(
        "SELECT count(DISTINCT xmin::text) FROM payments.interbank_transfer"
        " WHERE transfer_id = ANY ($1)",
        [transfer.transfer_id for transfer in transfers if isinstance(transfer, Transfer)],
    )
    assert commits == 1


async def test_a_key_whose_first_use_in_a_batch_is_refused_is_free_for_the_second(
    store: Store, bank: LedgerBank
) -> None:
    order = order_of(await bank.open_holder(50_00))
    too_much = replace(order, amount=Money(50_01, "USD"), fingerprint=b"g" * 32)
    _, refused, made = await asyncio.gather(
        _debited(store, await bank.open_holder(100_00)),
        _debit(store, too_much),
        _debit(store, order),
        return_exceptions=True,
    )
    assert isinstance(refused, InsufficientFunds)
    assert isinstance(made, Debit)
    assert made.outcome == "DEBITED"
    assert await bank.held(order.account_id) == (49_00, 2)


async def test_of_debits_that_want_one_balance_those_succeed_that_it_covers(
    store: Store, bank: LedgerBank
) -> None:
    holder = await bank.open_holder(3_00)
    results = await asyncio.gather(
        *(_debited(store, holder) for _ in range(20)), return_exceptions=True
    )
    assert sum(isinstance(result, Transfer) for result in results) == 3
    assert sum(isinstance(result, InsufficientFunds) for result in results) == 17
    assert await bank.held(holder.account_id) == (0, 4)


async def test_one_key_in_one_batch_is_one_transfer(store: Store, bank: LedgerBank) -> None:
    order = order_of(await bank.open_holder(100_00))
    await _debited(store, await bank.open_holder(100_00))
    debits = await asyncio.gather(*(_debit(store, order) for _ in range(5)))
    other = await _debit(store, replace(order, fingerprint=b"g" * 32))
    assert [debit.outcome for debit in debits] == ["DEBITED", *["EXISTING"] * 4]
    assert len({debit.transfer_id for debit in debits}) == 1
    assert other.outcome == "REUSED"
    assert await bank.held(order.account_id) == (99_00, 2)


async def test_an_account_that_somebody_holds_holds_up_only_its_own_debit(
    store: Store, bank: LedgerBank, postgres: PostgresStore
) -> None:
    held, free = [await bank.open_holder(100_00) for _ in range(2)]
    blocker = await postgres.session("postgres")
    async with blocker.transaction():
        await blocker.execute(
            "SELECT FROM ledger.account WHERE account_id = $1 FOR UPDATE", held.account_id
        )
        blocked = asyncio.create_task(_debited(store, held))
        passed = [asyncio.create_task(_debited(store, free)) for _ in range(3)]
        await asyncio.wait_for(asyncio.gather(*passed), scaled_s(20))
        assert not blocked.done()
    await blocked
    await blocker.close()
    assert (await bank.held(held.account_id))[0] == 99_00
