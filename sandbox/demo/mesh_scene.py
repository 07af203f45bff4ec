"""The scene of an SRE: a circuit breaker is tightened in YAML and rolled back while Ana pays."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ops.bpctl.mesh.changing import NOT_YET
from ops.display import shown
from ops.waiting import until
from sandbox.client import Answer, BankClient, Customer
from sandbox.demo.stage import Stage
from sandbox.stack.home import REPO

OPENING = 1_000_000_00
AMOUNT = 10_00
PAUSE_S = 0.2
FILE = "partners/fraud.yaml"
FRAUD = "cluster partner/fraud.example"
BEFORE, AFTER = "consecutive5xxErrors: 10", "consecutive5xxErrors: 3"
PROXIES = ("audit", "auth", "customers", "gateway", "notifications", "payments", "transfers")


@dataclass
class Payments:
    """The transfers that Ana orders during the scene, one after the other."""

    answers: list[Answer] = field(default_factory=list[Answer])

    @property
    def failed(self) -> list[Answer]:
        """The answers that are no success."""
        return [each for each in self.answers if each.status != 200]

    async def order(self, bank: BankClient, ana: Customer) -> None:
        """Order transfers until cancelled."""
        while True:
            self.answers.append(await bank.pay(ana, AMOUNT))
            await asyncio.sleep(PAUSE_S)


async def operated(stage: Stage, bank: BankClient) -> None:
    """An SRE edits the mesh under load: compared, applied, seen in every proxy, rolled back."""
    scene = stage.begin(
        "An SRE edits the mesh while customers pay",
        "The breaker of the fraud scoring shall open after 3 failures instead of 10. The SRE edits "
        "the YAML, looks at what each proxy would get, rehearses it on the live calls, applies it, "
        "and rolls it back. Ana pays all the time.",
    )
    ana = await bank.customer(OPENING)
    async with _paying(bank, ana) as payments, _copy_of_the_config() as folder:
        edited = folder / FILE
        edited.write_text(edited.read_text().replace(BEFORE, AFTER))
        code, said = await _bpctl(stage, "diff", str(folder))
        stage.holds(
            scene, "the diff names the one cluster that changes", code == 1 and FRAUD in said
        )
        code, said = await _bpctl(stage, "rehearse", str(folder))
        stage.holds(scene, "the rehearsal on the live calls finds no harm", code == 0)
        code, said = await _bpctl(stage, "apply", str(folder), "-m", "fraud: open after 3 failures")
        stage.holds(scene, "every proxy has acknowledged it", code == 0)
        code, said = await _bpctl(stage, "proxy-status")
        stage.holds(scene, "every proxy is SYNCED", code == 0 and all(p in said for p in PROXIES))
        code, said = await _bpctl(stage, "rollback", "-m", "end of the drill")
        stage.holds(scene, "rolled back, and acknowledged", code == 0)
        code, said = await _bpctl(stage, "diff")
        stage.holds(scene, "the mesh has the repository's configuration again", code == 0)
    with contextlib.suppress(TimeoutError):
        await until(_all_audited, 30, "each revision is audited")
    code, said = await _bpctl(stage, "history", "--audit")
    stage.holds(scene, "each revision is in the audit log", code == 0 and NOT_YET not in said)
    count = len(payments.answers)
    stage.holds(scene, f"none of {count} payments failed", count and not payments.failed)
    scene.facts |= {"payments": count, "failed": len(payments.failed)}


@asynccontextmanager
async def _paying(bank: BankClient, ana: Customer) -> AsyncGenerator[Payments]:
    payments = Payments()
    task = asyncio.create_task(payments.order(bank, ana))
    try:
        yield payments
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def _copy_of_the_config() -> AsyncGenerator[Path]:
    with tempfile.TemporaryDirectory(prefix="bp-mesh-") as name:
        folder = Path(name) / "config"
        await asyncio.to_thread(shutil.copytree, REPO / "mesh" / "config", folder)
        yield folder


async def _bpctl(stage: Stage, *arguments: str) -> tuple[int, str]:
    """Run `bpctl mesh …` as an SRE does; print the command and its output."""
    stage.console.print(shown(f"            $ ./bpctl mesh {' '.join(arguments)}", "bold"))
    code, said = await _said(*arguments)
    for line in said.splitlines():
        stage.console.print(shown(f"            {line}", "dim"))
    return code, said


async def _all_audited() -> bool:
    code, said = await _said("history", "--audit", "--json")
    return code == 0 and NOT_YET not in said


async def _said(*arguments: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ops.bpctl", "mesh", *arguments),
        cwd=REPO,
        env={**os.environ, "PYTHONPATH": f"{REPO}:{REPO / 'gen'}", "COLUMNS": "110"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode(errors="replace")
