"""`python -m lab.fuzz`: fuzzes the mesh's configuration, the gateway and every RPC, then checks
all stores and logs."""

from __future__ import annotations

import argparse
import asyncio
import secrets
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from lab.fuzz import document, enumeration, rpcs
from lab.fuzz.configs import command as configs
from lab.fuzz.log_leaks import PAYEE_ACCOUNT, PAYEE_NAME, find_leaks, secrets_of
from lab.fuzz.mesh import Mesh
from lab.fuzz.messages import Ids
from sandbox.client import BankClient, Customer
from sandbox.stack.home import REPO, home_at, home_from_environment
from sandbox.stack.testing import RunningStack

CASES = 5_000
BALANCE = 10_000_000_00
EXAMPLES_EACH_ROUND = 40
SHOWN_MAX = 20
_CONFIGS = "configs"


def main(arguments: Sequence[str]) -> int:
    """Fuzz, and print the findings and the verdict. Return 1 if there is a finding."""
    options = _parser().parse_args(arguments)
    print(f"seed {options.seed} (make fuzz ARGS='--seed {options.seed}' replays it)")
    found = configs.fuzz(options.configs, options.seed) if options.configs else []
    if options.only != _CONFIGS:
        found += _on_the_bank(options)
    for each in found[:SHOWN_MAX]:
        print(f"- {each}")
    print(f"FUZZ: {'sound' if not found else f'{len(found)} findings'}")
    return 1 if found else 0


def _on_the_bank(options: argparse.Namespace) -> list[str]:
    stack = RunningStack.open(options.home.root)
    try:
        stack.ensure()
        return _fuzz(stack, options)
    finally:
        if stack.started:
            stack.down()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument(
        "--cases", type=int, default=CASES, help="send at least this many requests to the gateway"
    )
    parser.add_argument("--calls", type=int, default=200, help="number of calls of each RPC")
    parser.add_argument(
        "--pairs", type=int, default=200, help="number of logins of known and unknown addresses"
    )
    parser.add_argument(
        "--configs",
        type=int,
        default=configs.CONFIGS,
        help="number of random configurations of the mesh; 0 for none",
    )
    parser.add_argument("--only", choices=[_CONFIGS], help="fuzz nothing else; needs no bank")
    parser.add_argument(
        "--seed",
        type=int,
        default=secrets.randbelow(2**31),
        help="seed of the generated requests (default: a random seed)",
    )
    parser.add_argument(
        "--home",
        type=lambda text: home_at(Path(text)),
        default=home_from_environment(),
        help=f"home of the stack (default: BP_HOME or {REPO / '.bp'})",
    )
    return parser


def _fuzz(stack: RunningStack, options: argparse.Namespace) -> list[str]:
    people = asyncio.run(open_people(stack))
    found, shown = _at_the_gateway(stack, people, options)
    people = asyncio.run(_renewed(stack, people))
    ids = asyncio.run(_ids(stack, people))
    found += _on_the_mesh(stack, people[0], ids, options)
    found += asyncio.run(_times_of_logins(stack, options.pairs))
    verdict = asyncio.run(_judged(stack))
    print(
        f"judge: {'all stores agree' if verdict else 'the stores disagree; run bpctl ledger check'}"
    )
    words = {PAYEE_NAME, PAYEE_ACCOUNT, enumeration.WRONG, *secrets_of((*shown, *people), ids)}
    written = find_leaks(stack, words)
    print(f"logs: {'no personal data and no secrets' if not written else 'see the findings'}")
    found += written
    return found if verdict else [*found, "the judge found that the stores disagree"]


async def open_people(stack: RunningStack, count: int = 3) -> list[Customer]:
    """Create customers with a login and enough money for every generated payment."""
    client = BankClient(stack)
    try:
        opened = [await client.customer(BALANCE) for _ in range(count)]
        for customer in opened:
            await client.login_identity(customer)
        return opened
    finally:
        await client.close()


async def _renewed(stack: RunningStack, people: Sequence[Customer]) -> list[Customer]:
    """Return the customers with new tokens: a round may take most of the lifetime of a token."""
    client = BankClient(stack)
    try:
        return [await client.renewed(person) for person in people]
    finally:
        await client.close()


async def _judged(stack: RunningStack) -> bool:
    client = BankClient(stack)
    try:
        return bool((await client.judged())["ok"])
    finally:
        await client.close()


def _at_the_gateway(
    stack: RunningStack, people: Sequence[Customer], options: argparse.Namespace
) -> tuple[list[str], list[Customer]]:
    """Return the findings, and the customers with each token that they used."""
    tally, begun, seed, shown = document.Tally(), time.monotonic(), options.seed, list(people)
    phases = document.PHASES
    with tempfile.TemporaryDirectory() as folder:
        while tally.requests < options.cases:
            document.run(
                stack,
                people,
                seed=seed,
                examples=EXAMPLES_EACH_ROUND,
                folder=Path(folder),
                phases=phases,
                into=tally,
            )
            # Examples and boundary values do not depend on the seed, so only the other phases are
            # repeated.
            seed, phases = seed + 1, ("fuzzing", "stateful")
            people = asyncio.run(_renewed(stack, people))
            shown += people
    answers = ", ".join(f"{status}: {count}" for status, count in sorted(tally.answers.items()))
    print(
        f"gateway: {tally.requests} requests in {time.monotonic() - begun:.0f} s,"
        f" {tally.followed_links} from links, {tally.checks.total()} checks of"
        f" {len(tally.checks)} kinds; {answers}"
    )
    return [*map(str, tally.findings), *tally.errors], shown


async def _times_of_logins(stack: RunningStack, pairs: int) -> list[str]:
    """Return a finding for each call whose times say which e-mail address has an account."""
    client, found = BankClient(stack), list[str]()
    try:
        for timed in enumeration.TIMED:
            known_s, unknown_s = await enumeration.measure(client, pairs, timed)
            share = enumeration.share_of_slower(known_s, unknown_s)
            print(f"{timed.name}: a known address takes longer in {share:.0%} of cases")
            if enumeration.tells(known_s, unknown_s):
                said = f"{share:.2f} instead of 0.5"
                found.append(f"the time of a {timed.name} says which address is known: {said}")
    finally:
        await client.close()
    return found


async def _ids(stack: RunningStack, people: Sequence[Customer]) -> Ids:
    client = BankClient(stack)
    try:
        return await rpcs.ids_of(client, people[0], people[2])
    finally:
        await client.close()


def _on_the_mesh(
    stack: RunningStack, customer: Customer, ids: Ids, options: argparse.Namespace
) -> list[str]:
    mesh, found, calls, begun = Mesh(stack), list[str](), 0, time.monotonic()
    try:
        for contract in rpcs.methods():
            try:
                tally = rpcs.attack(
                    mesh, contract, customer, ids, examples=options.calls, seed=options.seed
                )
            except rpcs.BrokenContractError as error:
                notes = " ".join(getattr(error, "__notes__", []))
                found.append(f"{contract.path}: {error} {notes}")
            else:
                calls += tally.calls
                print(f"  {contract.name}: {dict(tally.answers.most_common(6))}")
    finally:
        mesh.close()
    print(f"mesh: {calls} calls in {time.monotonic() - begun:.0f} s")
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
