"""Arithmetic of the meters: CPU by part, CPU of the machine, statements."""

import pytest

from lab.bench.meters import cpu, database
from lab.bench.meters.database import Snapshot, Statement


def test_the_cost_of_a_transfer_leaves_out_the_partners() -> None:
    used = cpu.between(
        {"payments": 1.0, "partner-ach": 5.0, "gateway": 0.5, "gone": 1.0},
        {"payments": 3.0, "partner-ach": 9.0, "gateway": 1.0, "new": 7.0},
    )
    assert used == {"partner-ach": 4.0, "payments": 2.0, "gateway": 0.5}
    assert cpu.of_the_bank(used) == 2.5


def test_busy_and_stolen_time_are_read_from_proc_stat() -> None:
    text = "cpu  100 20 30 5000 70 4 6 50 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n"
    machine = cpu.Machine.of(text)
    assert machine.stolen_s / machine.busy_s == pytest.approx(50 / 160)
    assert cpu.Machine.now().busy_s > 0
    assert cpu.own_s() > 0


def test_statements_are_counted_between_two_snapshots() -> None:
    old = Statement("bp_payments", "SELECT 1", 10, 5.0)
    before = Snapshot(
        {("bp_payments", 1): old}, wal_bytes=100, commits=7, written_bytes=40, flushes=1
    )
    after = Snapshot(
        {
            ("bp_payments", 1): Statement("bp_payments", "SELECT 1", 14, 6.0),
            ("bp_relay", 2): Statement("bp_relay", "SELECT 2", 3, 9.0),
            ("bp_audit", 3): Statement("bp_audit", "SELECT 3", 0, 0.0),
        },
        wal_bytes=350,
        commits=12,
        written_bytes=90,
        flushes=3,
    )
    work = database.between(before, after)
    assert [(one.role, one.calls, one.ms) for one in work.statements] == [
        ("bp_relay", 3, 9.0),
        ("bp_payments", 4, 1.0),
    ]
    assert (work.round_trips, work.wal_bytes, work.commits) == (7, 250, 5)
    assert (work.written_bytes, work.flushes) == (50, 2)
    assert work.by_role() == {"bp_payments": 4, "bp_relay": 3}
