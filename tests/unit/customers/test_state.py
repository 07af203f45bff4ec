"""Balances computed from several events, and the errors of customers."""

import uuid

from bp.customers.v1.customers_errors_pb2 import CustomersErrorReason
from hypothesis import given
from hypothesis import strategies as st

from services.customers.errors import CustomersError
from services.customers.state import Balance, latest
from services.kernel.money import Money

ACCOUNTS = [uuid.UUID(int=n) for n in range(3)]


@given(st.lists(st.tuples(st.sampled_from(ACCOUNTS), st.integers(1, 9))))
def test_of_several_balances_the_highest_position_of_each_account_is_kept(arrived):
    kept = latest(Balance(account, Money(n, "USD"), n) for account, n in arrived)
    expected = {a: max(n for b, n in arrived if b == a) for a, _ in arrived}
    assert {balance.account_id: balance.position for balance in kept} == expected
    assert len(kept) == len(expected)


def test_the_classes_and_the_contracts_reasons_agree():
    raised = {cause.reason for cause in CustomersError.__subclasses__()}
    assert raised == set(CustomersErrorReason.keys()) - {"CUSTOMERS_ERROR_REASON_UNSPECIFIED"}
