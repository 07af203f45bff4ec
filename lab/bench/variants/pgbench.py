"""Runs PostgreSQL's pgbench and psql against a database of the stack's cluster."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lab.bench.test_bench import TestBench
from ops.provision.stores import SUPERUSER
from sandbox.stack.parts.postgres_paths import INSTALLED

SCRIPTS = Path(__file__).parent / "sql" / "pgbench"
THREADS = 2
_PER_S = re.compile(r"^tps = ([\d.]+)", re.MULTILINE)
_LATENCY = re.compile(r"^latency average = ([\d.]+) ms", re.MULTILINE)
_DONE = re.compile(r"^number of transactions actually processed: (\d+)", re.MULTILINE)
_FAILED = re.compile(r"^number of failed transactions: (\d+)", re.MULTILINE)
# Use the settings of the services' sessions, so that the plans are the same.
_SESSION = "-c plan_cache_mode=force_generic_plan -c jit=off"


@dataclass(frozen=True, slots=True)
class Pace:
    """The figures that pgbench printed."""

    per_s: float
    """Transactions a second, without the time to connect."""
    latency_ms: float
    done: int
    failed: int


async def run(
    test_bench: TestBench,
    database: str,
    script: str,
    *,
    clients: int,
    seconds: float,
    settings: Mapping[str, int],
) -> Pace:
    """Run a script of `SCRIPTS`. Raises RuntimeError with pgbench's output if pgbench fails."""
    values = [f"--define={name}={value}" for name, value in settings.items()]
    output = await _output(
        test_bench,
        "pgbench",
        *("--no-vacuum", "--protocol=prepared", f"--client={clients}", f"--jobs={THREADS}"),
        *(f"--time={max(1, round(seconds))}", f"--file={SCRIPTS / script}", *values, database),
    )
    return parsed(output)


def parsed(output: str) -> Pace:
    """Parse the output of pgbench. Raises ValueError if the output has no figures, because pgbench
    did not finish."""
    per_s, latency, done = (pattern.search(output) for pattern in (_PER_S, _LATENCY, _DONE))
    if not (per_s and latency and done):
        raise ValueError(f"pgbench printed no figures: {output[-600:]}")
    failed = _FAILED.search(output)
    return Pace(float(per_s[1]), float(latency[1]), int(done[1]), int(failed[1]) if failed else 0)


async def load_file(test_bench: TestBench, database: str, file: Path) -> None:
    """Execute a file of SQL as the superuser. Raises RuntimeError if a statement fails."""
    await _output(
        test_bench,
        "psql",
        *("--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--single-transaction"),
        *(f"--file={file}", database),
    )


async def _output(test_bench: TestBench, program: str, *arguments: str) -> str:
    where = test_bench.where
    process = await asyncio.create_subprocess_exec(
        *(str(INSTALLED / program), *arguments),
        env={
            **os.environ,
            "PGHOST": where["BP_POSTGRES_HOST"],
            "PGPORT": where["BP_POSTGRES_PORT"],
            "PGUSER": SUPERUSER,
            "PGPASSWORD": test_bench.stack.credentials.postgres_superuser,
            "PGOPTIONS": _SESSION,
        },
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    text = output.decode(errors="replace")
    if process.returncode:
        raise RuntimeError(f"{program} exited with {process.returncode}: {text[-800:]}")
    return text
