"""The command that judges random configurations: its arguments and what it prints."""

import argparse
import secrets
import time
from collections.abc import Sequence

from lab.fuzz.configs import fields, runs
from lab.fuzz.configs.judged import Judge

CONFIGS = 1_000
WHOLE_EVERY = 5
"""Each fifth accepted configuration is also translated again, for files and for Istio."""
_SHOWN_MAX = 10
_CAUSES_MAX, _PROGRESS = 12, 100


def main(arguments: Sequence[str]) -> int:
    """Judge random configurations; return 1 if there is a problem."""
    parser = argparse.ArgumentParser(prog="python -m lab.fuzz.configs", description=main.__doc__)
    parser.add_argument("--configs", type=int, default=CONFIGS, help="number of configurations")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**31), help="seed")
    parser.add_argument("--causes", action="store_true", help="print why most were refused")
    options = parser.parse_args(arguments)
    found = fuzz(options.configs, options.seed, causes=options.causes)
    print(f"CONFIGS: {'sound' if not found else f'{len(found)} findings'}")
    return 1 if found else 0


def fuzz(count: int, seed: int, *, causes: bool = False) -> list[str]:
    """Judge `count` configurations, print the result, and return the problems."""
    again = f"make fuzz ARGS='--only configs --configs {count} --seed {seed}'"
    begun = time.monotonic()
    print(f"seed {seed} ({again} repeats it)", flush=True)
    with Judge(whole_every=WHOLE_EVERY) as judge:
        tally = runs.run(judge, count, seed, _progress)
        took_s = time.monotonic() - begun
        print(
            f"configurations: {tally.judged} in {took_s:.0f} s, {tally.accepted} accepted and"
            f" {tally.validated} new resources validated by Envoy, {tally.refused} refused with"
            f" file and line, {len(tally.problems)} with a problem"
        )
        print(_fields(tally))
        if causes:
            for cause, number in tally.causes.most_common(_CAUSES_MAX * 10):
                print(f"  {number} {cause}")
        for each in tally.problems[:_SHOWN_MAX]:
            print(f"- after {each.number} configurations: {each.text}\n{each.changed.shown()}")
        if tally.problems:
            least = runs.shrunk(judge, tally.problems[0])
            print(f"shrunk: {tally.problems[0].text}\n{least.shown()}\nrepeat: {again}")
    return [f"{each.text} ({again})" for each in tally.problems]


def _progress(tally: runs.Tally) -> None:
    if tally.judged % _PROGRESS == 0:
        problems = "".join(f"; {each.text}" for each in tally.problems[:1])
        print(f"  {tally.judged} judged, {tally.accepted} accepted{problems}", flush=True)


def _fields(tally: runs.Tally) -> str:
    known = fields.honoured()
    left = fields.listed(known - tally.changed)
    return (
        f"fields: {len(tally.changed & known)} of {len(known)} honoured fields changed,"
        f" {len(tally.changed_and_accepted & known)} of them in accepted configurations"
        + (f"; not changed: {left}" if left else "")
    )
