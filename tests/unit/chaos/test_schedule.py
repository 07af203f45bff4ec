"""A seed always gives the same bounded schedule; every kind of fault and every part is drawn."""

import os
import random
import subprocess
import sys

from hypothesis import given, settings
from hypothesis import strategies as st

from lab.chaos.schedule import (
    OVERLAP_MAX,
    PARTNER_FAULTS,
    PARTNER_PREFIX,
    QUIET_S,
    READERS,
    Kind,
    Roster,
    schedule,
)

NAMES = (
    *("payments", "payments-sidecar", "transfers", "gateway", "kafka", "postgres", "openbao"),
    *(f"{PARTNER_PREFIX}{name}" for name in ("ach", "fraud", "fcm", "oauth", "sms")),
    *READERS,
)
BANK = Roster(NAMES)
SEEDS = st.integers(0, 2**32)
LENGTHS = st.floats(5, 600)
ROSTERS = st.sets(st.sampled_from(NAMES), min_size=1).map(lambda names: Roster(tuple(names)))


@given(SEEDS, LENGTHS, ROSTERS, st.randoms(use_true_random=False))
def test_a_seed_has_one_schedule_however_the_roster_is_listed(
    seed: int, seconds: float, roster: Roster, shuffled: random.Random
) -> None:
    names = list(roster.processes)
    shuffled.shuffle(names)
    assert schedule(seed, seconds, roster) == schedule(seed, seconds, Roster(tuple(names)))


def test_a_seed_has_one_schedule_in_every_process() -> None:
    code = "from tests.unit.chaos.test_schedule import *; print(schedule(7, 600, BANK))"
    told = [
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for hash_seed in ("1", "2")
    ]
    assert told[0] == told[1] == f"{schedule(7, 600, BANK)}\n"


@given(SEEDS, LENGTHS, ROSTERS)
def test_every_fault_ends_before_the_schedule_and_hits_existing_parts(
    seed: int, seconds: float, roster: Roster
) -> None:
    for fault in schedule(seed, seconds, roster):
        assert 0 < fault.at_s <= fault.end_s <= seconds - QUIET_S
        assert fault.part in roster.processes or fault.kind is Kind.BURST


@given(SEEDS, LENGTHS)
def test_few_faults_overlap_and_never_on_one_part(seed: int, seconds: float) -> None:
    faults = schedule(seed, seconds, BANK)
    for fault in faults:
        together = [one for one in faults if one.at_s <= fault.at_s < one.end_s]
        assert len(together) <= OVERLAP_MAX
        assert len({one.part for one in together}) == len(together)


@given(SEEDS)
@settings(max_examples=20)
def test_two_minutes_hold_a_dozen_faults_or_more(seed: int) -> None:
    assert 12 <= len(schedule(seed, 120, BANK)) <= 60


def test_every_kind_of_fault_is_injected_into_every_part_that_it_fits() -> None:
    injected = {(one.kind, one.target) for seed in range(400) for one in schedule(seed, 120, BANK)}
    assert injected == {(kind, target) for kind in Kind for target in BANK.targets(kind)}


def test_a_new_part_on_the_roster_gets_faults() -> None:
    with_fraud_desk = Roster((*NAMES, "fraud-desk", f"{PARTNER_PREFIX}kyc"))
    faults = [one for seed in range(400) for one in schedule(seed, 120, with_fraud_desk)]
    assert {one.kind for one in faults if one.target == "fraud-desk"} == {
        Kind.KILL,
        Kind.PAUSE,
        Kind.RESTART,
    }
    assert {one.kind for one in faults if one.target == "kyc"} == set(PARTNER_FAULTS)
