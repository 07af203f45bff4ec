"""The list of findings is bounded, and every finding is counted."""

from decimal import Decimal

from ops.judge.clearing_house import ACCEPTABLE
from ops.judge.findings import SAMPLES_MAX, Findings, Kind
from services.payments.state import State


def test_all_differences_are_counted_and_some_of_each_kind_named() -> None:
    findings = Findings()
    for number in range(SAMPLES_MAX + 30):
        findings.add(Kind.EVENT_LOST, None, None, event_id=number)
    findings.add(Kind.KEY, 1, 2, transfer_id="t", state=None)
    assert findings.counts == {Kind.EVENT_LOST: SAMPLES_MAX + 30, Kind.KEY: 1}
    assert len(findings.named) == SAMPLES_MAX + 1
    assert findings.named[-1].ids == {"transfer_id": "t"}
    assert not findings.ok


def test_rows_that_a_query_did_not_list_are_counted_by_its_total() -> None:
    findings = Findings()
    rows = [{"code": "SETTLEMENT", "expected": Decimal(5), "actual": Decimal(7), "total": 12}]
    findings.add_rows(Kind.INTERNAL_BALANCE, rows)
    assert findings.counts[Kind.INTERNAL_BALANCE] == 12
    assert findings.named[0].to_json() == {
        "kind": "INTERNAL_BALANCE",
        "what": Kind.INTERNAL_BALANCE.value,
        "ids": {"code": "SETTLEMENT"},
        "expected": 5,
        "actual": 7,
    }


def test_every_state_of_a_transfer_has_the_clearing_houses_states_that_agree() -> None:
    assert set(ACCEPTABLE) == {state.name for state in State}
