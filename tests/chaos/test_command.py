"""`bpctl chaos run` as an operator types it: its output and its exit code."""

import json
from pathlib import Path

import pytest

from lab.chaos.healing import WATCHED_S
from lab.chaos.runner import roster
from lab.chaos.schedule import schedule
from sandbox.stack.testing import RunningStack
from tests.rigs.bpctl import bpctl, corrupted_balance
from tests.rigs.running_bank import Bank

SEED = 31
MINUTES = 0.25
"""The shortest run that the command accepts."""
WITHIN_S = 900.0
HEALED = ("--healed-within", f"{WATCHED_S:g}")
"""How long the bank is watched; this test does not measure how fast it heals."""
COMMAND = ("chaos", "run", "--seed", str(SEED), "--minutes", str(MINUTES), *HEALED)

pytestmark = pytest.mark.timeout(WITHIN_S + 60)


def test_a_correct_bank_passes_and_the_seed_is_printed(bank: Bank, stack: RunningStack) -> None:
    done = bpctl(stack.home.root, *COMMAND, within_s=WITHIN_S)
    lines = done.stdout.splitlines()
    assert done.returncode == 0, done.stdout + done.stderr
    faults = schedule(SEED, MINUTES * 60, roster(stack))
    assert faults
    assert lines[0] == f"seed {SEED}: {len(faults)} faults in {MINUTES * 60:g} s"
    told = [line for line in lines if any(f"{f.kind:<24} {f.target:<22}" in line for f in faults)]
    assert len(told) == len(faults), lines
    assert lines[-1].startswith(f"seed {SEED}: nothing lost, nothing doubled (")


async def test_one_cent_too_much_fails_the_run_and_its_account_is_named(
    bank: Bank, stack: RunningStack
) -> None:
    async with corrupted_balance(stack) as account:
        done = bpctl(stack.home.root, *COMMAND, "--json", within_s=WITHIN_S)
    assert done.returncode == 1, done.stderr
    told = json.loads(done.stdout)
    assert (told["ok"], told["seed"], told["judge"]["ok"]) == (False, SEED, False)
    named = [one["ids"] for one in told["judge"]["differences"]]
    wanted = {"problem": "BALANCE_DIFFERS", "account_id": account}
    assert any(wanted.items() <= ids.items() for ids in named), named
    # Nothing else was wrong, so the planted difference alone caused the exit code.
    assert told["differences"] == []
    assert told["healing"]["ok"]
    injected = [(one["at_s"], one["kind"], one["target"]) for one in told["faults"]]
    planned = schedule(SEED, MINUTES * 60, roster(stack))
    assert injected == [(one.at_s, str(one.kind), one.target) for one in planned]


@pytest.mark.parametrize("minutes", ["0", "-1", "nan"])
def test_an_invalid_length_is_refused_before_any_fault(stack: RunningStack, minutes: str) -> None:
    done = bpctl(stack.home.root, "chaos", "run", "--minutes", minutes)
    assert done.returncode == 2, done.stdout
    assert done.stdout == ""
    assert "--minutes" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_home_without_a_stack_gives_an_error_with_the_remedy(tmp_path: Path) -> None:
    done = bpctl(tmp_path, *COMMAND)
    assert (done.returncode, done.stdout) == (3, "")
    assert "Run `make up`" in done.stderr


def test_a_stopped_stack_gives_an_error_with_the_remedy(
    stack: RunningStack, tmp_path: Path
) -> None:
    (tmp_path / stack.home.endpoints.name).write_text(stack.home.endpoints.read_text())
    done = bpctl(tmp_path, *COMMAND)
    assert (done.returncode, done.stdout) == (3, "")
    assert "Start it with `make up`" in done.stderr
    assert "Traceback" not in done.stderr
